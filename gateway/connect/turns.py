"""Whose turn it is on a connection that several subscriptions share. Pure; what comes later is asked of a `Clock`.

Theory of operation. A live subscription is written to whenever its channel flushes, which needs no turn. One that is
behind (FULL) waits here, and whoever has waited longest is next: a turn is one chunk of its channel's ring, or one page
of the log, and then the others come before it. Nothing is made ready for a connection that has no room, and only one
page of the log is on its way to a connection at a time, however many channels it follows. The room that is there is
kept for that page: those in memory, who are quicker, would always take it. Not for longer than `PATIENCE`, though,
because the log may be away.

It goes on when the connection has drained, when the one that was reading has its page, and when somebody has fallen
behind while there is room.
"""

from collections.abc import Callable
from typing import Final, Protocol

from gateway.hub.channel import Channel
from gateway.hub.encoding import Encoding
from gateway.hub.subscriber import Sink, State, Subscriber
from skyhooks.publication import Position

PATIENCE: Final = 0.5
"""Seconds that others wait for a page of the log to come."""


class Clock(Protocol):
    """What is needed of the event loop."""

    def call_soon(self, callback: Callable[[], None]) -> object:
        """Call at the end of this turn of the loop."""
        ...

    def call_later(self, delay: float, callback: Callable[[], None]) -> object:
        """Call in `delay` seconds."""
        ...


class Turns:
    """The order in which the subscriptions of one connection catch up."""

    __slots__ = ("_behind", "_clock", "_kept", "_page", "_reader", "_serving", "_sink", "_turn", "_woken")

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._behind: dict[Shared, None] = {}
        self._turn: Shared | None = None
        self._reader: Shared | None = None
        self._kept = False  # the room is the reader's
        self._page = 0  # counts the pages that room was kept for
        self._serving = False
        self._woken = False

    def serve(self) -> None:
        """Give a turn to each one that is behind, as long as the connection has room."""
        self._woken = False
        self._serving = True
        moved_on = False
        for one in tuple(self._behind):
            if self._kept or not self._sink.has_room():
                break
            stood = one.cursor
            self._turn = one
            one.drained()
            self._turn = None
            moved_on = moved_on or one.state is not State.FULL or one.cursor != stood
            if one.state is State.FETCHING and self._behind:
                self._keep_room()
        self._serving = False
        # If nobody has moved on, all of them wait for the log, and the one that reads it calls them.
        if moved_on and self._behind and not self._kept and self._sink.has_room():
            self._wake()

    def moved(self, one: "Shared", state: State) -> None:
        """A subscription is in another state now."""
        self._behind.pop(one, None)
        if state is State.FULL:
            self._behind[one] = None
        if state is State.FETCHING:
            self._reader = one
        elif self._reader is one:
            self._reader = None
            self._kept = False
        if self._behind and not self._serving:
            self._wake()

    def admits(self, one: "Shared", reading: bool) -> bool:
        """Whether a subscription may have more made ready for it, from the log (`reading`) or from memory."""
        if reading and self._reader is not None and self._reader is not one:
            return False
        if self._turn is one:
            self._turn = None  # once a turn
        elif len(self._behind) > (one in self._behind):
            return False
        return self._sink.has_room()

    def _keep_room(self) -> None:
        self._kept = True
        self._page = page = self._page + 1

        def give_up() -> None:
            if self._kept and self._page == page:
                self._kept = False
                self._wake()

        self._clock.call_later(PATIENCE, give_up)

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._clock.call_soon(self.serve)


class Shared(Subscriber):
    """A subscription that shares its connection with others."""

    __slots__ = ("_turns",)

    def __init__(self, turns: Turns, channel: Channel, encoding: Encoding, since: Position | None) -> None:
        super().__init__(channel, encoding, since)
        self._turns = turns

    def move(self, state: State) -> None:
        """See `Subscriber.move`."""
        super().move(state)
        self._turns.moved(self, state)

    def may_catch_up(self, reading: bool) -> bool:
        """See `Subscriber.may_catch_up`."""
        return self._turns.admits(self, reading)
