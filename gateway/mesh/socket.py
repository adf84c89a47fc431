"""A ZeroMQ socket on the event loop of asyncio or uvloop, and the one place that sets socket options.

Theory of operation. ZeroMQ's own descriptor (``ZMQ_FD``) is edge-triggered: it becomes readable when the library has
something to say to this thread, and every call on the socket may swallow that edge, a send as well as a receive. So
after each edge, and in the turn after each send, everything is read until the library answers that nothing is left;
asking once less would leave a message lying until the next one arrives. What is read in one turn is bounded, the rest
waits for the next turn, so that a flood of messages does not keep anything else of the node from running. Sending
never waits: what does not fit is refused, and the caller knows. (Rule: zmq_getsockopt(3), ZMQ_FD and ZMQ_EVENTS.)
"""

import asyncio
import errno
import re
from collections.abc import Callable, Sequence
from typing import Final, cast

import msgspec
import zmq

from skyhooks.errors import SettingsError

PER_TURN: Final = 200
"""Messages that one socket hands on in one turn of the loop."""

_IPV4: Final = re.compile(r"tcp://[0-9.]+:")
"""With IPv6 on, such an endpoint is later called by its mapped address, tcp://[::ffff:127.0.0.1]:7000."""

Context = zmq.Context["zmq.Socket[bytes]"]

Receive = Callable[[list[bytes]], None]
"""Takes one message, as its parts."""


class SocketOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every ZeroMQ socket of a node.

    A peer that has not answered a heartbeat, sent every `heartbeat_seconds`, for `silence_seconds` counts as gone.
    `high_water` messages wait for one peer in each direction, beyond that they are lost or refused. A part of a
    message may have `max_part` bytes; a peer that sends more is disconnected. A handshake may take
    `handshake_seconds`. A lost peer is tried again after `retry_seconds`, doubled up to `retry_most_seconds`. On
    closing, what was sent may take `linger_seconds` to leave.
    """

    heartbeat_seconds: float = 1.0
    silence_seconds: float = 3.0
    high_water: int = 1000
    max_part: int = 4 * 1024 * 1024
    handshake_seconds: float = 5.0
    retry_seconds: float = 0.1
    retry_most_seconds: float = 2.0
    linger_seconds: float = 0.5

    def apply(self, socket: "zmq.Socket[bytes]") -> None:
        """Set them. Only what is bound or connected afterwards has them."""
        silence = _milliseconds(self.silence_seconds)
        socket.setsockopt(zmq.HEARTBEAT_IVL, _milliseconds(self.heartbeat_seconds))
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, silence)
        socket.setsockopt(zmq.HEARTBEAT_TTL, silence)
        socket.setsockopt(zmq.SNDHWM, self.high_water)
        socket.setsockopt(zmq.RCVHWM, self.high_water)
        socket.setsockopt(zmq.MAXMSGSIZE, self.max_part)
        socket.setsockopt(zmq.HANDSHAKE_IVL, _milliseconds(self.handshake_seconds))
        socket.setsockopt(zmq.RECONNECT_IVL, _milliseconds(self.retry_seconds))
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, _milliseconds(self.retry_most_seconds))
        socket.setsockopt(zmq.LINGER, _milliseconds(self.linger_seconds))


class MeshSocket:
    """A ZeroMQ socket with the options of the node. Options that only it needs are set on `raw` before it is bound."""

    def __init__(self, context: Context, kind: int, options: SocketOptions | None = None) -> None:
        self.raw = context.socket(kind)
        (options or SocketOptions()).apply(self.raw)

    def bind(self, endpoint: str) -> str:
        """Listen at `endpoint` and return the real one, with the port that was taken for 0. Raises `SettingsError`."""
        self.raw.setsockopt(zmq.IPV6, int("[" in endpoint))
        try:
            self.raw.bind(endpoint)
        except zmq.ZMQError as error:
            raise SettingsError(f"cannot listen at {endpoint}: {error.strerror}") from error
        return self.raw.getsockopt_string(zmq.LAST_ENDPOINT)

    def connect(self, endpoint: str) -> None:
        """Connect now, and again whenever the connection is lost. Raises `SettingsError` for what is no endpoint."""
        self.raw.setsockopt(zmq.IPV6, int(not _IPV4.match(endpoint)))
        try:
            self.raw.connect(endpoint)
        except zmq.ZMQError as error:
            raise SettingsError(f"cannot connect to {endpoint}: {error.strerror}") from error

    def disconnect(self, endpoint: str) -> None:
        """Let go of what `connect` was called with, also when ZeroMQ has already done so."""
        try:
            self.raw.disconnect(endpoint)
        except zmq.ZMQError as error:
            if error.errno != errno.ENOENT:
                raise

    def close(self, linger_seconds: float | None = None) -> None:
        """Close. What was sent goes on leaving, for as long as the option, or this, allows."""
        self.raw.close(None if linger_seconds is None else _milliseconds(linger_seconds))


class LoopSocket(MeshSocket):
    """A socket whose messages arrive as calls of `receive` on the running event loop. Make it on the loop.

    A `receive` of None is for sockets that only send. What `receive` raises is the loop's to report; the messages
    behind it are read all the same.
    """

    def __init__(
        self, context: Context, kind: int, receive: Receive | None = None, options: SocketOptions | None = None
    ) -> None:
        super().__init__(context, kind, options)
        self._receive = receive
        self._scheduled = False
        self._number = cast(Callable[[int], int], self.raw.getsockopt)
        self._descriptor = self._number(zmq.FD)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._read)

    def bind(self, endpoint: str) -> str:
        """As its base; what binding swallowed of the edge is read soon."""
        self._read_soon()
        return super().bind(endpoint)

    def connect(self, endpoint: str) -> None:
        """As its base; what connecting swallowed of the edge is read soon."""
        self._read_soon()
        super().connect(endpoint)

    def disconnect(self, endpoint: str) -> None:
        """As its base; what disconnecting swallowed of the edge is read soon."""
        self._read_soon()
        super().disconnect(endpoint)

    def change(self, option: int, value: int | bytes) -> None:
        """Set an option of a socket in use, such as SUBSCRIBE."""
        self._read_soon()
        self.raw.setsockopt(option, value)

    def send(self, parts: Sequence[bytes]) -> bool:
        """Hand one message over without waiting. False when the high-water mark, or a peer that is gone, forbids it."""
        try:
            for part in parts[:-1]:
                self.raw.send(part, zmq.DONTWAIT | zmq.SNDMORE)
            self.raw.send(parts[-1], zmq.DONTWAIT)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        finally:
            self._read_soon()
        return True

    def close(self, linger_seconds: float | None = None) -> None:
        """As its base; `receive` is not called any more."""
        if not self.raw.closed:
            self._loop.remove_reader(self._descriptor)
        super().close(linger_seconds)

    def _read_soon(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._read_rest)

    def _read_rest(self) -> None:
        self._scheduled = False
        self._read()

    def _read(self) -> None:
        left = PER_TURN
        try:
            while not self.raw.closed and self._number(zmq.EVENTS) & zmq.POLLIN and self._receive and left:
                left -= 1
                self._receive(self.raw.recv_multipart(zmq.DONTWAIT))
        except BaseException:
            left = 0
            raise
        finally:
            if not left and not self.raw.closed:
                self._read_soon()


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
