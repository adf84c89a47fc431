"""Connections that stay open: writing whole frames straight to the descriptor beside the loop's transport.

Theory of operation. The transport's buffer is empty almost always, and then a frame is one ``write(2)`` away. The
transport is told to report *any* buffered byte (``high=0``), synchronously, so `_stuck` says exactly whether its
buffer holds something:

- it does not: write to the descriptor. If the socket took less than everything, the frame it cut, or the next one if
  it cut none, goes to the transport in the same call. That keeps later frames behind it, and makes the loop watch for
  room.
- it does: take nothing; `resume_writing` tells the peer once the buffer is empty.

What must go out whatever happens (a pong, a Close, the answer to a message) is appended to the transport's buffer
while it holds something, so it lands behind the cut frame's rest and never inside it. Under TLS the descriptor
belongs to the cipher: everything goes through the transport, which is full by the same rule.

A descriptor's number is used again once it is closed, so nothing is written after `connection_lost`, which comes
before that.
"""

import asyncio
import enum
import os
from bisect import bisect_right
from collections.abc import Callable, Sequence

import structlog

from gateway.edge.close import INTERNAL_ERROR, SLOW, Close
from gateway.edge.connections import Connections
from gateway.edge.progress import LOOKS, NO_DESCRIPTOR, Progress, descriptor, drop_unsent
from gateway.edge.request import Peer

log = structlog.get_logger()


class State(enum.IntEnum):
    """What may still happen on the connection."""

    OPEN = 0
    CLOSING = 1  # the end was said; what waits is flushed, and the client may answer
    GONE = 2


class OpenSink(asyncio.Protocol):
    """What streams and WebSockets share: writing, back-pressure, the keepalive and the end.

    It replaces the HTTP protocol on the same transport. Slots only, since most of them sit idle by the thousand.
    """

    __slots__ = (
        "_behind",
        "_connections",
        "_deadline",
        "_fd",
        "_key",
        "_peer",
        "_state",
        "_stuck",
        "_told",
        "_transport",
        "_wrote",
        "turn",
    )

    def __init__(self, transport: asyncio.Transport, connections: Connections, key: str | None, peer: Peer) -> None:
        self.turn = 0
        self._transport = transport
        self._connections = connections
        self._key = key
        self._peer = peer
        self._fd = descriptor(transport)
        now = connections.wheel.now
        self._stuck = Progress(now) if transport.get_write_buffer_size() else None
        self._behind = False
        self._told = False
        self._state = State.OPEN
        self._wrote = now
        self._deadline = 0.0  # by when a closing must be over

    def open(self, rest: bytes = b"") -> None:
        """Take the connection over from HTTP; `rest` was read behind the request."""
        self._transport.set_protocol(self)
        self._transport.resume_reading()
        self._connections.wheel.book(self, self._connections.settings.keepalive_seconds)
        self._tell(self._peer.opened, self)
        if rest and self._state is not State.GONE:
            self.data_received(rest)

    # -- Sink

    def send(self, data: bytes, ends: Sequence[int]) -> int:
        """See `gateway.edge.request.Sink.send`."""
        if self._stuck is not None or self._state is not State.OPEN:
            self._behind = True
            return 0
        self._wrote = self._connections.wheel.now
        if self._fd == NO_DESCRIPTOR:
            self._transport.write(data)
            return len(ends)
        start = 0
        while True:
            sent = self._write_now(data[start:] if start else data)
            if sent < 0:
                return 0
            start += sent
            if start == len(data):
                return len(ends)
            taken = bisect_right(ends, start)
            self._transport.write(data[start : ends[taken]])
            start = ends[taken]
            if taken + 1 == len(ends):
                return len(ends)
            if self._stuck is not None:
                self._behind = True
                return taken + 1

    def has_room(self) -> bool:
        """See `gateway.edge.request.Sink.has_room`."""
        if self._stuck is None and self._state is State.OPEN:
            return True
        self._behind = True
        return False

    def hold(self, on: bool) -> None:
        """See `gateway.edge.request.Sink.hold`. A stream takes nothing from its client anyhow."""

    def reply(self, frame: bytes) -> None:
        """See `gateway.edge.request.Sink.reply`."""
        if self._state is State.OPEN:
            self._write(frame)

    def close(self, code: int, reason: str) -> None:
        """See `gateway.edge.request.Sink.close`."""
        raise NotImplementedError

    def abort(self) -> None:
        """See `gateway.edge.request.Sink.abort`."""
        if self._state is not State.GONE:
            self._begin_closing()
            self._transport.abort()

    # -- writing

    def _write(self, data: bytes) -> None:
        """Write `data` whatever the state of the buffer: it goes out after what is already on its way."""
        self._wrote = self._connections.wheel.now
        if self._stuck is not None or self._fd == NO_DESCRIPTOR:
            self._transport.write(data)
            return
        sent = self._write_now(data)
        if 0 <= sent < len(data):
            self._transport.write(data[sent:])

    def _write_now(self, data: bytes) -> int:
        """Bytes of `data` that the socket took; -1 when the connection is broken."""
        try:
            return os.write(self._fd, data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self.abort()
            return -1

    def pause_writing(self) -> None:
        """The transport's buffer holds something."""
        self._stuck = Progress(self._connections.wheel.now)
        if self._state is State.OPEN:
            self._connections.wheel.hasten(self, self._connections.settings.slow_seconds / LOOKS)

    def resume_writing(self) -> None:
        """The transport's buffer is empty."""
        self._stuck = None
        if self._behind and self._state is State.OPEN:
            self._behind = False
            self._tell(self._peer.drained)

    # -- time

    def due(self, now: float) -> float | None:
        """Do what the time demands: the keepalive, the slow limit, the end of a closing that takes too long."""
        if self._state is State.GONE:
            return None
        if self._state is State.CLOSING:
            if now < self._deadline:
                return self._deadline - now
            drop_unsent(self._transport)
            self._transport.abort()
            return None
        if self._stuck is not None:
            return self._check_progress(self._stuck, now)
        quiet = now - self._wrote
        interval = self._connections.settings.keepalive_seconds
        if quiet < interval:
            return interval - quiet
        self._keep_alive()
        return interval

    def _check_progress(self, stuck: Progress, now: float) -> float | None:
        limit = self._connections.settings.slow_seconds
        still = stuck.look(self._transport, self._fd, now)
        if still < limit:
            return min(limit - still, limit / LOOKS)
        log.info("connection_slow", seconds=still)
        self._end(SLOW)
        return None

    def _keep_alive(self) -> None:
        raise NotImplementedError

    # -- the end

    def finish(self, close: Close) -> None:
        """End in order because the node stops."""
        self._end(close)

    def _end(self, close: Close) -> None:
        self.close(close.code, close.meaning)

    def _begin_closing(self) -> None:
        """Nothing is taken from the peer any more; what was taken has `close_seconds` to get out."""
        if self._state is not State.OPEN:
            return
        self._state = State.CLOSING
        seconds = self._connections.settings.close_seconds
        self._deadline = self._connections.wheel.now + seconds
        self._connections.wheel.book(self, seconds)
        self._connections.loop.call_soon(self._tell_closed)

    def eof_received(self) -> bool:
        """The client has ended its side: it is gone."""
        self._begin_closing()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is done; its descriptor is about to be closed."""
        self._state = State.GONE
        self._fd = NO_DESCRIPTOR
        self._connections.wheel.drop(self)
        self._connections.leave(self._key)
        self._tell_closed()

    def _tell_closed(self) -> None:
        if not self._told:
            self._told = True
            self._tell(self._peer.closed)

    def _tell(self, call: Callable[..., None], *args: object) -> None:
        """Call the peer; what it raises is our fault and ends this connection alone."""
        try:
            call(*args)
        except Exception:
            log.exception("peer_failed")
            if self._state is State.OPEN:
                self._end(INTERNAL_ERROR)
