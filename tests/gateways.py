"""Real gateway processes for tests, and raw connections to them."""

import re
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Self

from tests.processes import Process

SECONDS = 10.0
_PROBLEM = re.compile(
    r"^\S+ \[(error|critical) *\]|^(ERROR|CRITICAL) |Traceback \(most recent call last\)|never retrieved"
)


class Gateway:
    """One node in a process of its own, on a free port."""

    def __init__(self, *options: str, listen: str = "127.0.0.1", env: Mapping[str, str] | None = None) -> None:
        store = () if any(option.startswith("--store") for option in options) else ("--store", "memory://")
        host = f"[{listen}]" if ":" in listen else listen
        argv = [sys.executable, "-P", "-m", "gateway", "--listen", f"{host}:0", *store, *options]
        self.process = Process(argv, env)
        try:
            self.url = self.process.wait_for(r"\blistening\b.* url=(\S+)")[1]
            found = self.process.wait_for(r"edge_listening.* port=(\d+)")
        except BaseException:
            self.process.close()
            raise
        self.host, self.port = listen, int(found[1])

    @property
    def problems(self) -> list[str]:
        """What it has logged that must never come of what a client sends."""
        return [line for line in self.process.lines if _PROBLEM.search(line)]

    def connect(self, tls: ssl.SSLContext | None = None) -> "Raw":
        """A raw connection."""
        return Raw(self.host, self.port, tls)

    def say(self, data: bytes) -> bytes:
        """Everything that the node says to `data` on a connection of its own until it ends it."""
        with self.connect() as raw:
            raw.send(data)
            return raw.rest()


@contextmanager
def running(*options: str, listen: str = "127.0.0.1", env: Mapping[str, str] | None = None) -> Iterator[Gateway]:
    """A gateway that is killed at the end."""
    gateway = Gateway(*options, listen=listen, env=env)
    try:
        yield gateway
    finally:
        print(f"--- gateway\n{gateway.process.output}")  # shown when the test has failed
        gateway.process.close()


class Raw:
    """Bytes to and from a port, without any HTTP library in between."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        sock = socket.create_connection((host, port), SECONDS)
        self.socket = tls.wrap_socket(sock, server_hostname=host) if tls else sock
        self._read = b""

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(data)

    def until(self, marker: bytes) -> bytes:
        """What comes up to and including `marker`."""
        while marker not in self._read:
            piece = self.socket.recv(65536)
            assert piece, f"the connection ended before {marker!r}: {self._read!r}"
            self._read += piece
        found, _, self._read = self._read.partition(marker)
        return found + marker

    def head(self) -> str:
        """The next response's status line and headers."""
        return self.until(b"\r\n\r\n").decode("latin-1")

    def answer(self) -> tuple[str, bytes]:
        """The next response that says its length: head and body."""
        head = self.head()
        size = int(re.search(r"(?i)^content-length: (\d+)\r$", head, re.MULTILINE)[1])  # type: ignore[index]
        while len(self._read) < size:
            piece = self.socket.recv(65536)
            assert piece, f"the connection ended inside a body: {self._read!r}"
            self._read += piece
        body, self._read = self._read[:size], self._read[size:]
        return head, body

    def rest(self) -> bytes:
        """Everything until the node ends the connection."""
        whole, self._read = self._read, b""
        while piece := self.socket.recv(65536):
            whole += piece
        return whole

    def close(self) -> None:
        """End it."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
