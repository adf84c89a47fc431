"""The addresses of a node's mesh sockets, which are given as one base address. Pure.

``ipc:///folder/name`` stands for ``/folder/name.pub``, ``.rpc`` and ``.journal``; ``tcp://HOST:PORT`` for three ports
beginning with PORT, or three free ones when it is 0.
"""

import re
from typing import Final, NamedTuple

from skyhooks.errors import SettingsError, shown

MAX_PATH: Final = 107
"""Bytes in the path of a Unix socket (unix(7), less the NUL)."""

_TCP: Final = re.compile(r"tcp://(?P<host>[A-Za-z0-9._-]+|\*|\[[0-9A-Fa-f:.%A-Za-z]+\]):(?P<port>[0-9]{1,5})\Z")


class Endpoints(NamedTuple):
    """Where a node's sockets are: mesh (XPUB), RPC (ROUTER) and journal (PULL)."""

    mesh: str
    rpc: str
    journal: str


class Crossing(NamedTuple):
    """Where a forwarder's sockets are: the one that nodes publish to (XSUB) and the one they subscribe to (XPUB)."""

    publish: str
    subscribe: str


def node_endpoints(base: str) -> Endpoints:
    """The endpoints of a node. Raises `SettingsError` for what is no base address."""
    return Endpoints(*_neighbours(base, ("pub", "rpc", "journal")))


def forwarder_endpoints(base: str) -> Crossing:
    """The endpoints of a forwarder. Raises `SettingsError` for what is no base address."""
    return Crossing(*_neighbours(base, ("in", "out")))


def announced(endpoint: str, host: str) -> str:
    """How others reach an endpoint that listens on every address: under `host`. Any other stays as it is."""
    match = _TCP.match(endpoint)
    if match is None or match["host"] not in ("0.0.0.0", "*", "[::]"):  # noqa: S104  # compared, not bound
        return endpoint
    return f"tcp://{f'[{host}]' if ':' in host else host}:{match['port']}"


def _neighbours(base: str, suffixes: tuple[str, ...]) -> list[str]:
    if base.startswith("ipc:///"):
        longest = max(len(f"{base}.{suffix}".encode()) for suffix in suffixes) - len("ipc://")
        if longest > MAX_PATH or "\0" in base:
            raise SettingsError(f"{shown(base)} gives a path of {longest} bytes, and a socket's has {MAX_PATH} at most")
        return [f"{base}.{suffix}" for suffix in suffixes]
    match = _TCP.match(base)
    if match is None:
        raise SettingsError(f"expected ipc:///folder/name or tcp://HOST:PORT as a mesh address; got {shown(base)}")
    first = int(match["port"])
    if first + len(suffixes) > 65536:
        raise SettingsError(f"{base} needs {len(suffixes)} ports from {first} on, and 65535 is the last one")
    return [f"tcp://{match['host']}:{first and first + number}" for number in range(len(suffixes))]
