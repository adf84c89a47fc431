"""The number server. One counter for all; a client that comes back gets what it has missed.

The protocol is lines of ASCII over TCP. A client sends one line:

- ``after CURSOR``: a line ``CURSOR NUMBER`` for each number after the one that this cursor came with. A cursor is the
  server's epoch, drawn when it starts, a hyphen and the number. With a cursor of another epoch, or from before what
  is remembered, it begins with the oldest number that there is. An empty line comes each second in which no number
  does, as a sign of life.
- ``after -``: the same from now on.
- ``status``: one line of JSON with ``clients`` (who get numbers now), ``served`` (who ever did), ``number``, ``epoch``
  and ``rate_per_minute``.

Anything else is answered ``error CODE SENTENCE``, and the connection ends; so it does for a client that says nothing
in time (``too_slow``) and one for whom there is no room (``too_many_clients``). A client that does not read what it is
sent is cut off.
"""

import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import gevent
import msgspec
import structlog
from gevent.server import StreamServer

from skyhooks.errors import Refused, SettingsError, shown
from skyhooks.service import BlockingService
from workers.numbers.settings import NumberSettings

log = structlog.get_logger()

MOST_LINE: Final = 100
HEARTBEAT_SECONDS: Final = 1.0
AT_ONCE: Final = 500
"""Numbers that are sent in one piece."""
SHORTEST_PAUSE: Final = 0.001
"""Seconds between two rounds of counting."""
LATE_SECONDS: Final = 1.0
"""How far behind the counting may be and still catch up."""

_AFTER = re.compile(r"after (?:-|([0-9a-z]{1,32})-([0-9]{1,18}))\Z")


class NumberServer(BlockingService):
    """Counts up and tells who listens. Everything in it runs on greenlets.

    Starting it raises `OSError` when the address cannot be listened on, `SettingsError` when it is none.
    """

    def __init__(self, settings: NumberSettings) -> None:
        super().__init__("numbers")
        self.settings = settings
        self.epoch = secrets.token_hex(4)
        self.number = 0
        self.port = 0
        self._changed = threading.Condition()
        self._retimed = threading.Event()
        self._asking = 0
        self._clients = 0
        self._served = 0
        self._server: StreamServer | None = None

    def on_start(self) -> None:
        """Listen, and begin to count."""
        host, colon, port = self.settings.numbers_listen.rpartition(":")
        if not colon or not host or not port.isdecimal() or int(port) > 65535:
            raise SettingsError(
                f"numbers_listen is HOST:PORT such as 127.0.0.1:7000; got {shown(self.settings.numbers_listen)}"
            )
        self._server = StreamServer((host.strip("[]"), int(port)), self._serve)
        self._server.start()
        self.port = self._server.server_port
        self.spawn(self._count, "count")
        log.info("listening", numbers=f"{host}:{self.port}", rate_per_minute=self.settings.rate_per_minute)

    def on_reload(self) -> None:
        """Count at another rate from now on, also in the middle of a long pause."""
        self._retimed.set()

    def on_stop(self) -> None:
        """Let everybody go."""
        self.stopping.set()
        self._retimed.set()
        with self._changed:
            self._changed.notify_all()
        if self._server is not None:
            self._server.stop(timeout=1.0)

    def _count(self) -> None:
        last = time.monotonic()
        while not self.stopping.is_set():
            pause = 60 / self.settings.rate_per_minute
            due = int((time.monotonic() - last) / pause)
            if due:
                last += due * pause
                with self._changed:
                    self.number += due
                    self._changed.notify_all()
            if self._retimed.wait(max(last + pause - time.monotonic(), SHORTEST_PAUSE)):
                self._retimed.clear()
                # What was waited under the old rate makes at most one number of the new one.
                last = max(last, time.monotonic() - 60 / self.settings.rate_per_minute)
            # After a long sleep of the machine it goes on at its rate, and does not catch up.
            last = max(last, time.monotonic() - LATE_SECONDS - 60 / self.settings.rate_per_minute)

    def _serve(self, connection: socket.socket, address: tuple[str, int]) -> None:
        connection.settimeout(self.settings.numbers_seconds)
        # It may go at any moment, or read nothing: then there is nobody to tell.
        with suppress(OSError), connection:
            try:
                self._answer(connection, f"{address[0]}:{address[1]}")
            except Refused as refused:
                log.info("client_refused", address=f"{address[0]}:{address[1]}", code=refused.code)
                connection.sendall(f"error {refused.code} {refused.detail}\n".encode())
                self._let_go(connection)

    def _answer(self, connection: socket.socket, address: str) -> None:
        """Do what a client asks for. Raises `Refused`, and `OSError` once it has gone."""
        line = self._line(connection)
        if line == "status":
            connection.sendall(self._status() + b"\n")
            return
        match = _AFTER.match(line)
        if match is None:
            raise Refused("bad_line", "expected `after CURSOR`, `after -` or `status`")
        with self._place(address):
            self._tell(connection, self._after(match))

    @contextmanager
    def _place(self, address: str) -> Iterator[None]:
        if self._clients >= self.settings.numbers_clients:
            raise Refused("too_many_clients", "there is no room for another one; come back later")
        self._clients += 1
        self._served += 1
        log.info("client", address=address, clients=self._clients)
        try:
            yield
        finally:
            self._clients -= 1
            log.info("client_gone", address=address, clients=self._clients)

    def _line(self, connection: socket.socket) -> str:
        """The client's line; what is too long is none. Raises `Refused` when it does not come in time."""
        if self._asking >= self.settings.numbers_clients:
            raise Refused("too_many_clients", "too many say nothing; come back later")
        self._asking += 1
        received = b""
        try:
            with gevent.Timeout(self.settings.numbers_seconds, TimeoutError):
                while b"\n" not in received and len(received) <= MOST_LINE:
                    piece = connection.recv(MOST_LINE)
                    if not piece:
                        raise ConnectionError
                    received += piece
        except TimeoutError:
            seconds = f"{self.settings.numbers_seconds:g}"
            raise Refused("too_slow", f"a client says what it wants within {seconds} s") from None
        finally:
            self._asking -= 1
        return received.partition(b"\n")[0].rstrip(b"\r").decode("ascii", "replace")

    def _let_go(self, connection: socket.socket) -> None:
        """Read what the client still sends: closed over that, the connection would lose what it was told."""
        connection.shutdown(socket.SHUT_WR)
        with gevent.Timeout(HEARTBEAT_SECONDS, TimeoutError):
            while connection.recv(1 << 16):
                pass

    def _after(self, match: re.Match[str]) -> int:
        epoch, number = match[1], match[2]
        if epoch is None:
            return self.number
        return min(int(number), self.number) if epoch == self.epoch else 0

    def _tell(self, connection: socket.socket, after: int) -> None:
        while not self.stopping.is_set():
            with self._changed:
                if self.number <= after:
                    self._changed.wait(HEARTBEAT_SECONDS)
                # Counted only here: whoever is slow holds up nobody, and costs no memory.
                oldest = max(after, self.number - self.settings.numbers_history) + 1
                news = range(oldest, min(self.number, oldest + AT_ONCE - 1) + 1)
            connection.sendall("".join(f"{self.epoch}-{one} {one}\n" for one in news).encode() or b"\n")
            after = news[-1] if news else after

    def _status(self) -> bytes:
        said = {
            "clients": self._clients,
            "served": self._served,
            "number": self.number,
            "epoch": self.epoch,
            "rate_per_minute": self.settings.rate_per_minute,
        }
        return msgspec.json.encode(said)
