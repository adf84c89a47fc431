"""A callback and how far it has heard, and the runs of publications that are handed over to it. Pure: no I/O, no clock.

Theory of operation. A listener stands at a `Position`. A page of the log that follows it becomes a `Handover`, which
the program runs where its callbacks belong (on the event loop, in the reactor, in a greenlet). There is one handover of
a listener at a time, so that its callback sees its channel in order, and the position moves on before the callback is
called: what was handed over is not handed over again, whatever the callback does with it.
"""

import inspect
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec
import structlog

from skyhooks.publication import START, Position, Publication
from skyhooks.store.base import Page

log = structlog.get_logger()

Callback = Callable[..., Any]


class Gap(msgspec.Struct, frozen=True):
    """The notice that what lies after position `start`, up to and including `end`, is no longer kept."""

    start: str
    end: str


class Listener:
    """`callback`, which hears of `channel` from `cursor` on.

    It is called with a publication's data, and with its position too when `with_position` is set; `on_gap` is called
    with a `Gap`, in its place between the publications. Both may return something to wait for before the next call.
    """

    def __init__(
        self,
        channel: str,
        callback: Callback,
        cursor: Position,
        *,
        with_position: bool = False,
        on_gap: Callable[[Gap], Any] | None = None,
    ) -> None:
        self.channel = channel
        self.callback = callback
        self.cursor = cursor
        """The place up to which everything has been handed over."""
        self.heard = cursor
        """The place up to which the callback has been called."""
        self.busy = False
        self.active = True
        self.failures = 0
        self._with_position = with_position
        self._on_gap = on_gap

    @property
    def position(self) -> str:
        """What to register with as `since`, to go on after what has been heard."""
        return str(self.heard)

    def behind(self, head: Position) -> bool:
        """Whether there is something to read when the channel's newest row is at `head`."""
        return head.epoch != self.cursor.epoch or head.offset > self.cursor.offset

    def take(self, page: Page, finished: Callable[["Listener"], None]) -> "Handover | None":
        """What `page`, read after the cursor, means for this listener; None when that is nothing yet.

        `finished` is called when the handover has been run to its end.
        """
        if not page.epoch:
            return None
        calls: list[_Call] = []
        if self.cursor.epoch not in ("", page.epoch):
            # Another history: this page was read at an offset of the old one, so only the change can be told.
            calls.append(self._gap_to(Position(page.epoch, 0)))
        else:
            if page.after > self.cursor.offset:
                calls.append(self._gap_to(Position(page.epoch, page.after)))
            calls += [self._call_for(page.epoch, one) for one in page.publications if one.offset > self.cursor.offset]
        if not calls:
            return None
        self.busy = True
        self.cursor = calls[-1].position
        return Handover(self, calls, finished)

    def failed(self, position: Position, error: BaseException) -> None:
        """Count and report what a callback raised; it is not called again for the same publication."""
        self.failures += 1
        log.error("callback_failed", channel=self.channel, position=str(position), exc_info=error)

    def _call_for(self, epoch: str, publication: Publication) -> "_Call":
        position = Position(epoch, publication.offset)
        if publication.control:
            return _Call(position, None)
        # Read anew for each callback, so that none sees what another one did to it. The standard library's reader takes
        # every number that somebody may have published; msgspec's refuses some.
        if self._with_position:
            return _Call(position, lambda: self.callback(json.loads(publication.data), str(position)))
        return _Call(position, lambda: self.callback(json.loads(publication.data)))

    def _gap_to(self, end: Position) -> "_Call":
        gap, tell = Gap(str(self.cursor), str(end)), self._on_gap
        if tell is None:
            log.warning("publications_missed", channel=self.channel, start=gap.start, end=gap.end)
            return _Call(end, None)
        return _Call(end, lambda: tell(gap))


class _Call(msgspec.Struct, frozen=True):
    """One call of a callback, or None for a row that is not shown; the listener then stands at `position`."""

    position: Position
    make: Callable[[], Any] | None


class Handover:
    """A run of calls for one listener, in order.

    Where callbacks may return awaitables (a coroutine, a future, a Deferred), `run` stops at the first one, and
    `complete` waits for it and does the rest. Elsewhere `run_plainly` does everything.
    """

    def __init__(self, listener: Listener, calls: list[_Call], finished: Callable[[Listener], None]) -> None:
        self._listener = listener
        self._calls: Iterator[_Call] = iter(calls)
        self._finished = finished
        self._position = START

    def run(self) -> Awaitable[Any] | None:
        """Make the next calls, until one returns an awaitable; None when all are made."""
        listener = self._listener
        for call in self._calls:
            if not listener.active:
                break
            self._position = call.position
            try:
                value = call.make() if call.make is not None else None
            except Exception as error:
                listener.failed(call.position, error)
                value = None
            if inspect.isawaitable(value):
                return value
            listener.heard = call.position
        self._finished(listener)
        return None

    async def complete(self, waiting: Awaitable[Any] | None) -> None:
        """Wait for what `run` returned, and make the rest of the calls, each after the one before it has ended."""
        while waiting is not None:
            try:
                await waiting
            except Exception as error:
                self._listener.failed(self._position, error)
            self._listener.heard = self._position
            waiting = self.run()

    def run_plainly(self) -> None:
        """Make all calls where nothing can be awaited: a callback that wants that is reported as failed."""
        while (waiting := self.run()) is not None:
            if inspect.iscoroutine(waiting):
                waiting.close()
            error = TypeError(f"{self._listener.callback!r} returned an awaitable; register a plain function here")
            self._listener.failed(self._position, error)
            self._listener.heard = self._position
