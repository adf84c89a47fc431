"""One HTTP connection: requests in, answers out, in order.

Theory of operation. Bytes go to the parser at once; whole requests wait in `_queue`, at most `pipeline_requests` of
them, and reading pauses while more is there than that. A task answers the queue one by one and ends when it is empty,
so an idle connection has none. A refused request is an entry like any other: it is answered in its turn, and is the
last.

A client that leaves ends the wait of a request that only reads; anything else runs to its end, because its commit may
be under way, and its answer is dropped.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import cast

import structlog

from gateway.edge.close import Close
from gateway.edge.connections import Connections
from gateway.edge.head import CONTINUE, encode_response
from gateway.edge.parser import Message, Parser, Phase
from gateway.edge.progress import LOOKS, Progress, descriptor, report_every_byte
from gateway.edge.request import problem
from skyhooks.errors import Refused

log = structlog.get_logger()

_READING = {"GET", "HEAD"}


class Connection(asyncio.Protocol):
    """Speaks HTTP with one client until it leaves, or until a stream or WebSocket takes the transport over.

    `answer` answers one request through `write` and `drained`, and says whether the connection may carry another.
    """

    __slots__ = (
        "_answer",
        "_connections",
        "_current",
        "_deadline",
        "_drains",
        "_ended",
        "_last",
        "_parser",
        "_phase",
        "_queue",
        "_stuck",
        "_task",
        "_transport",
        "key",
        "lost",
        "on_lost",
        "peer",
        "turn",
    )

    def __init__(self, connections: Connections, answer: Callable[["Connection", Message], Awaitable[bool]]) -> None:
        self.turn = 0
        self.peer = ""
        self.lost = True  # there is no transport, or it is not ours any more
        self.on_lost: Callable[[], None] | None = None
        self._answer = answer
        self._connections = connections
        self._transport: asyncio.Transport
        self.key: str | None = None  # what it is counted under; None when it is exempt
        self._parser = Parser(connections.settings)
        self._phase = Phase.IDLE
        self._queue: deque[Message | Refused] = deque()
        self._current: Message | None = None
        self._task: asyncio.Task[None] | None = None
        self._drains: list[asyncio.Future[None]] = []
        self._stuck: Progress | None = None
        self._deadline: float | None = None
        self._ended = False  # the client has closed its sending side
        self._last = False  # no further request is read

    # -- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected; answer it at once if there is no room for it."""
        self._transport = cast(asyncio.Transport, transport)
        name = transport.get_extra_info("peername")
        self.peer = str(name[0]) if isinstance(name, tuple) else ""
        report_every_byte(self._transport)
        try:
            self.key = self._connections.admit(self.peer)
        except Refused as error:
            self._transport.write(encode_response(problem(error), "GET", False, True, self._connections.date))
            self._transport.close()
            return
        self.lost = False
        self._set_deadline(self._connections.settings.idle_seconds)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if not self._last and not self.lost:
            self._parser.feed(data)
            self._read()

    def eof_received(self) -> bool:
        """The client sends no more. What it has asked for is still answered, where the transport can do that."""
        busy = self._task is not None or bool(self._queue)
        if self.lost or not busy or not self._transport.can_write_eof():
            return False
        self._ended = self._last = True
        self._set_deadline(self._connections.settings.half_closed_seconds)
        return True

    def pause_writing(self) -> None:
        """The transport's buffer holds something."""
        self._stuck = Progress(self._connections.wheel.now)
        self._connections.wheel.hasten(self, self._connections.settings.slow_seconds / LOOKS)

    def resume_writing(self) -> None:
        """The transport's buffer is empty."""
        self._stuck = None
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        if self.lost:
            return
        self._leave()
        self._connections.leave(self.key)
        if self.on_lost is not None:
            self.on_lost()
        if self._task is not None:
            message = self._current
            if message is not None and message.method in _READING and not message.body:
                self._task.cancel()
            self._connections.adopt(self._task)

    # -- what an answer is made with

    def write(self, data: bytes) -> None:
        """Send `data`, or nothing if the client is gone."""
        if not self.lost:
            self._transport.write(data)

    def drained(self) -> "asyncio.Future[None]":
        """Done once everything written has been taken by the socket, or the client is gone."""
        future = self._connections.loop.create_future()
        if self._stuck is None or self.lost:
            future.set_result(None)
        else:
            self._drains.append(future)
        return future

    def abort(self) -> None:
        """Drop the connection, so that the client can see that its answer is not whole."""
        if not self.lost:
            self._transport.abort()

    def hand_over(self) -> tuple[asyncio.Transport, str | None, bytes]:
        """Give the transport away, with the key it is counted under and what was read behind the request."""
        rest = self._parser.rest()
        self._leave()
        return self._transport, self.key, rest

    def keeps_alive(self, message: Message) -> bool:
        """Whether another request may follow `message` on this connection."""
        return message.keep_alive and not self._connections.stopping

    # -- reading

    def _read(self) -> None:
        """Parse until the pipeline is full or the bytes run out, and see to it that the queue is answered."""
        try:
            while len(self._queue) < self._connections.settings.pipeline_requests:
                message = self._parser.next()
                if message is None:
                    break
                self._phase = Phase.IDLE
                self._queue.append(message)
                if self._parser.phase is Phase.OVER and not message.websocket:
                    # Behind a handshake comes WebSocket, which is kept; behind any other last request, nothing.
                    self._last = True
        except Refused as error:
            self._queue.append(error)
            self._last = True
        self._hold_input()
        if self._queue and self._task is None:
            self._task = self._connections.spawn(self._serve())
        self._watch()

    def _hold_input(self) -> None:
        if self._parser.pending and not self._last:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _watch(self) -> None:
        """Set the deadline that the state of the input asks for, and let a client that waits for it send its body."""
        settings = self._connections.settings
        busy = self._task is not None or bool(self._queue)
        if self._parser.wants_continue and not busy:
            self._parser.wants_continue = False
            self.write(CONTINUE)
        before, self._phase = self._phase, self._parser.phase
        if self._last or self._parser.pending or (busy and self._phase is Phase.IDLE):
            self._phase = Phase.IDLE
            self._deadline = None
        elif self._phase is Phase.IDLE:
            self._set_deadline(settings.idle_seconds)
        elif self._phase is not before:
            self._set_deadline(settings.header_seconds if self._phase is Phase.HEAD else settings.body_seconds)

    # -- answering

    async def _serve(self) -> None:
        """Answer what is queued, in order."""
        try:
            while self._queue and not self.lost:
                item = self._queue.popleft()
                if isinstance(item, Refused):
                    self._refuse(item)
                    return
                self._current = item
                more = await self._answer(self, item)
                self._current = None
                self.on_lost = None
                if self._stuck is not None:
                    await self.drained()
                if self.lost:
                    return
                if not more:
                    self._end()
                    return
                if self._parser.pending:
                    self._read()
        finally:
            self._task = None
        if self._ended:
            self._end()
        elif not self.lost:
            self._watch()

    def _refuse(self, error: Refused) -> None:
        """Answer a request that could not be read; nothing behind it can be trusted."""
        log.info("request_refused", code=error.code, status=error.status, detail=error.detail, remote=self.peer)
        self.write(encode_response(problem(error), "GET", False, True, self._connections.date))
        self._linger()

    # -- time

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = self._connections.wheel.now + seconds
        self._connections.wheel.hasten(self, seconds)

    def due(self, now: float) -> float | None:
        """Do what the time demands; see `gateway.edge.wheel.Timed`."""
        if self.lost:
            return None
        settings = self._connections.settings
        delay = settings.idle_seconds
        if self._stuck is not None:
            still = self._stuck.look(self._transport, descriptor(self._transport), now)
            if still >= settings.slow_seconds:
                log.info("connection_slow", seconds=still, remote=self.peer)
                self.abort()
                return None
            delay = settings.slow_seconds / LOOKS
        if self._deadline is None:
            return delay
        if now >= self._deadline:
            self._deadline = None
            self._expire()
            return delay
        return min(delay, self._deadline - now)

    def _expire(self) -> None:
        if self._last:
            message = self._current
            if not self._ended or (message is not None and message.method in _READING):
                self.abort()
        elif self._phase is Phase.IDLE:
            self._transport.close()
        else:
            part = "headers" if self._phase is Phase.HEAD else "body"
            self._queue.append(Refused("timeout", f"the {part} of the request did not come in time", 408))
            self._last = True
            if self._task is None:
                self._task = self._connections.spawn(self._serve())

    # -- the end

    def finish(self, close: Close) -> None:
        """End in order because the node stops; an answer under way is the last."""
        if self._task is None and not self.lost:
            self._transport.close()

    def _end(self) -> None:
        """End the connection behind its last answer."""
        if self.lost:
            return
        if self._ended or not (self._parser.pending or self._queue):
            self._transport.close()
        else:
            self._linger()

    def _linger(self) -> None:
        """End our side and drop what still comes: closing on unread bytes would reset the answer away."""
        if self.lost:
            return
        self._last = True
        self._queue.clear()
        if self._ended or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        self._transport.resume_reading()
        self._set_deadline(self._connections.settings.linger_seconds)

    def _leave(self) -> None:
        self.lost = True
        self._queue.clear()
        self._connections.wheel.drop(self)
        self._parser.rest()
        self._wake()

    def _wake(self) -> None:
        drains, self._drains = self._drains, []
        for future in drains:
            if not future.done():
                future.set_result(None)
