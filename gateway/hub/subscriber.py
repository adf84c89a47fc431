"""One subscriber of one channel: its socket, its encoding and, unless it is live, its cursor.

Theory of operation. A subscriber is in one of these states; only `Channel` moves it::

    OPENING   its channel does not know its head yet
    LIVE      shares the channel's cursor; flushes are written to it
    FULL      its connection took less than it was given; waits until it drains
    FETCHING  stands before the ring's base; waits for a page of the log
    AHEAD     stands behind what this node knows (it came from another one); waits for the channel to get there
    GONE      disconnected

    OPENING --opened--> catch up        FULL --drained--> catch up       FETCHING --page--> catch up
    AHEAD --channel grew--> catch up    LIVE --short write--> FULL       any --closed--> GONE
    catch up: writes until it ends in LIVE, FULL, FETCHING or AHEAD
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from gateway.hub.encoding import Encoding
from skyhooks.publication import Position

if TYPE_CHECKING:
    from gateway.hub.channel import Channel

UNEXPECTED_MESSAGE = 1003
"""WebSocket close code for data that the endpoint does not take (RFC 6455 section 7.4.1)."""


class Sink(Protocol):
    """Where a subscriber's frames go; see `gateway.edge.request.Sink`, which is one."""

    def send(self, data: bytes, ends: Sequence[int]) -> int:
        """Write frames without waiting; how many were taken."""
        ...

    def has_room(self) -> bool:
        """Whether `send` would take something now. If not, the subscriber's `drained` is called once it would."""
        ...

    def close(self, code: int, reason: str) -> None:
        """End the connection in order, or the subscription where it is one of several."""
        ...


class State(Enum):
    """Where a subscriber is; see the theory of operation above."""

    OPENING = auto()
    LIVE = auto()
    FULL = auto()
    FETCHING = auto()
    AHEAD = auto()
    GONE = auto()


class Subscriber:
    """A connection's subscription. Implements the edge's `Peer`.

    `cursor` is the offset of the last publication that it has been sent; it means nothing while LIVE. `since` is
    the position it came with, None for "from now on". `notice` is what it must be told first.
    """

    __slots__ = ("channel", "cursor", "encoding", "notice", "since", "sink", "state")

    def __init__(self, channel: "Channel", encoding: Encoding, since: Position | None) -> None:
        self.channel = channel
        self.encoding = encoding
        self.since = since
        self.cursor = 0
        self.notice = b""
        self.state = State.OPENING
        self.sink: Sink

    def move(self, state: State) -> None:
        """Be in another state, by the channel's word."""
        self.state = state

    def may_catch_up(self, reading: bool) -> bool:
        """Whether more may be made ready for it: from the ring, or (`reading`) from the log.

        If not, it is FULL until `drained` is called.
        """
        return self.sink.has_room()

    def opened(self, sink: Sink) -> None:
        """The connection can be written to from now on."""
        self.sink = sink
        self.channel.join(self)

    def drained(self) -> None:
        """The connection has room again."""
        if self.state is State.FULL:
            self.channel.catch_up(self)

    def received(self, message: str | bytes) -> None:
        """Nothing is taken from a subscriber of one channel."""
        self.channel.dismiss(self, UNEXPECTED_MESSAGE, "this connection takes no messages; publish with POST")

    def closed(self) -> None:
        """The connection is gone."""
        self.channel.leave(self)
