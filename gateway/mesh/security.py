"""CURVE on the mesh: both sides of a connection, and who is let in.

A server asks this node's ZAP handler about every client (ZeroMQ RFC 27; RFC 26 is CURVE), and the handler lives on the
node's event loop. A client takes only a server that owns the key it expects, and expects only keys that are allowed.
So both sides of every connection are on the list.
"""

import asyncio
import ipaddress
from pathlib import Path
from typing import Final

import structlog
import zmq
from zmq.utils import z85

from gateway.mesh.complaints import Complaints
from gateway.mesh.socket import Context, LoopSocket, MeshSocket
from skyhooks.errors import SettingsError
from skyhooks.keys import Keys, make_keys, parse_key, read_allowed, read_keys

__all__ = ["Keys", "Security", "make_keys", "read_keys", "require_curve", "secure_client", "secure_server"]

log = structlog.get_logger()

ZAP_ENDPOINT: Final = "inproc://zeromq.zap.01"
ZAP_VERSION: Final = b"1.0"
DOMAIN: Final = b"skyhooks"


class Security:
    """This node's keys, the keys that it lets in, and the ZAP handler that decides by them.

    `allow` is a folder or a file as for `read_allowed`; the node's own key is always let in, so that nodes may share
    one pair. Whoever binds a socket calls `open` before and `close` after; the handler lives in between. `denied`
    counts the connections that were turned away. A key that `reload` takes off the list is refused from its next
    connection on; a connection that it has already stays until it ends.
    """

    def __init__(self, keys: Keys, allow: Path | None = None) -> None:
        self.keys = keys
        self.denied = 0
        self._allow = allow
        self._allowed: frozenset[str] = frozenset()
        self._context: Context | None = None
        self._handler: LoopSocket | None = None
        self._users = 0
        self._complaints = Complaints()
        self.reload()

    def reload(self) -> None:
        """Read the list of allowed keys again. Raises `SettingsError`; the old list stays in force then."""
        listed = read_allowed(self._allow) if self._allow else frozenset()
        self._allowed = listed | {self.keys.public}

    def allows(self, key: str) -> bool:
        """Whether the owner of the public key may take part."""
        return key in self._allowed

    def open(self, context: Context) -> None:
        """Answer for the sockets of `context` from now on. Call it on the loop, before anything is bound."""
        if self._handler is None:
            self._handler = LoopSocket(context, zmq.REP, self._asked)
            self._handler.bind(ZAP_ENDPOINT)
            self._context = context
        elif context is not self._context:
            raise RuntimeError("the sockets of a node share one ZeroMQ context, and this is another one")
        self._users += 1

    def close(self) -> None:
        """One user less; the handler goes with the last one."""
        self._users = max(0, self._users - 1)
        if self._handler is not None and not self._users:
            self._handler.close(0)
            self._handler = self._context = None

    def serve(self, socket: MeshSocket) -> None:
        """Make `socket` a CURVE server: whatever it binds from now on takes allowed keys only."""
        socket.raw.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
        # Without this a server whose handler is gone would let everybody in.
        socket.raw.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        socket.raw.setsockopt(zmq.CURVE_SECRETKEY, self.keys.secret.encode())
        socket.raw.setsockopt(zmq.CURVE_SERVER, 1)

    def call(self, socket: MeshSocket, key: str) -> None:
        """Make `socket` a CURVE client: whatever it connects to next must own the public key `key`.

        Raises `SettingsError` when `key` is no key or is not allowed.
        """
        if not self.allows(parse_key(key, "the key of a peer")):
            raise SettingsError(f"the key {key} of a peer is not among the allowed ones: add it and reload")
        socket.raw.setsockopt(zmq.CURVE_PUBLICKEY, self.keys.public.encode())
        socket.raw.setsockopt(zmq.CURVE_SECRETKEY, self.keys.secret.encode())
        socket.raw.setsockopt(zmq.CURVE_SERVERKEY, key.encode())

    def _asked(self, parts: list[bytes]) -> None:
        if self._handler is not None:
            self._handler.send(self._answer(parts))

    def _answer(self, parts: list[bytes]) -> list[bytes]:
        """Answer one request: version, request id, domain, address, identity, mechanism, credentials (RFC 27)."""
        request = parts[1] if len(parts) > 1 else b""
        if len(parts) != 7 or parts[0] != ZAP_VERSION or parts[5] != b"CURVE" or len(parts[6]) != 32:
            return [ZAP_VERSION, request, b"400", b"CURVE is required", b"", b""]
        key = z85.encode(parts[6]).decode()
        if parts[2] == DOMAIN and self.allows(key):
            return [ZAP_VERSION, request, b"200", b"", key.encode(), b""]
        self.denied += 1
        if self._complaints.due(key, asyncio.get_running_loop().time()):
            address = parts[3].decode("utf-8", "replace")
            log.warning("mesh_key_denied", key=key, address=address, hint="allow the key and reload, or find out who")
        return [ZAP_VERSION, request, b"400", b"this key is not allowed", b"", b""]


def secure_client(socket: MeshSocket, key: str, security: Security | None) -> None:
    """Prepare `socket` for connecting to the owner of `key`, or to a peer without one when this node has none either.

    Raises `SettingsError` when only one of the two has keys: nothing falls back to plain text.
    """
    if security is not None:
        security.call(socket, key)
    elif key:
        raise SettingsError("the peer expects CURVE and this node has no keys: make some with `skyhooks keys`")


def secure_server(socket: MeshSocket, endpoint: str, security: Security | None) -> None:
    """Prepare `socket` for listening at `endpoint`. Raises `SettingsError` for an open port without keys."""
    require_curve(endpoint, security)
    if security is not None:
        security.serve(socket)


def require_curve(endpoint: str, security: Security | None) -> None:
    """Raise `SettingsError` for an endpoint that other machines can reach and that no keys protect."""
    if security is None and not is_local(endpoint):
        raise SettingsError(
            f"{endpoint} can be reached by other machines and this node has no keys: make some with `skyhooks keys`, "
            f"or listen on loopback, such as tcp://127.0.0.1:7000"
        )


def is_local(endpoint: str) -> bool:
    """Whether only this machine reaches an endpoint: ``ipc://``, ``inproc://``, or ``tcp://`` on loopback."""
    transport, _, place = endpoint.partition("://")
    if transport != "tcp":
        return transport in ("ipc", "inproc")
    host = place.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
