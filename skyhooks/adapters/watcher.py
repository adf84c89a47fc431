"""Feeds listeners from the log, and from nothing else: whoever appended, each of them sees each publication once.

Theory of operation. The watcher keeps the newest known head of every channel that has listeners. It learns heads from
the log (`LogStore.news`, often; `LogStore.head` of each channel, rarely and after an outage) and from whoever has just
appended (`announce`, which only saves the wait). A channel whose head moves is *due*; so is one with a listener that
comes back from a handover, or comes new. A look serves what is due: each idle listener that is behind gets the page
that follows its cursor. Those with the same cursor share one reading. Nothing is read for a listener that is still
busy, so one page is all that ever waits in memory for a slow one.
"""

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from skyhooks.adapters.limits import Limits
from skyhooks.adapters.listener import Callback, Gap, Handover, Listener
from skyhooks.errors import StoreError
from skyhooks.publication import START, Position
from skyhooks.store.base import LogStore, Page

log = structlog.get_logger()

Dispatch = Callable[[Sequence[Handover]], None]
"""Has handovers run where callbacks belong. It may run them before it returns."""


def direct(handovers: Sequence[Handover]) -> None:
    """Run handovers here and now: callbacks are called in the watcher's own thread, one after the other."""
    for handover in handovers:
        handover.run_plainly()


class _Channel:
    """What is known of a channel that is listened to. `joining` counts those who are about to."""

    __slots__ = ("head", "joining", "listeners")

    def __init__(self) -> None:
        self.head: Position | None = None
        self.listeners: list[Listener] = []
        self.joining = 0


class Watcher:
    """Watches `log_store` for listeners and hands over through `dispatch`. `clock` is steady, in seconds.

    All methods may be called from any thread.
    """

    def __init__(
        self, log_store: LogStore, dispatch: Dispatch, limits: Limits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = log_store
        self._dispatch = dispatch
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._channels: dict[str, _Channel] = {}
        self._due: set[str] = set()
        self._mark: int | None = None
        self._swept = clock()
        self._failing = False

    # -- listeners -------------------------------------------------------------------------------------------------

    def add(
        self,
        name: str,
        callback: Callback,
        since: Position | None,
        *,
        with_position: bool = False,
        on_gap: Callable[[Gap], object] | None = None,
    ) -> Listener:
        """Listen to a channel, from now on or from `since`; adding a callback again gives the listener that it has.

        Whatever is appended after this has returned will be heard. Raises `StoreError`.
        """
        with self._lock:
            channel = self._channels.setdefault(name, _Channel())
            channel.joining += 1
        try:
            # The channel is known from here on, so that news between this reading and the next look is not lost.
            head = self._store.head(name)
            return self._join(name, channel, callback, since, head.position if head else None, with_position, on_gap)
        finally:
            with self._lock:
                channel.joining -= 1
                self._drop_if_idle(name, channel)

    def _join(
        self,
        name: str,
        channel: _Channel,
        callback: Callback,
        since: Position | None,
        head: Position | None,
        with_position: bool,
        on_gap: Callable[[Gap], object] | None,
    ) -> Listener:
        with self._lock:
            known = next((one for one in channel.listeners if one.callback == callback), None)
            if known is not None:
                return known
            cursor = since if since is not None else head or START
            listener = Listener(name, callback, cursor, with_position=with_position, on_gap=on_gap)
            channel.listeners.append(listener)
            self._move(name, channel, head)
            self._due.add(name)
        self._wake.set()
        return listener

    def remove(self, name: str, callback: Callback) -> bool:
        """Listen no more: no call begins after this. False when the callback did not listen."""
        with self._lock:
            channel = self._channels.get(name)
            found = next((one for one in channel.listeners if one.callback == callback), None) if channel else None
            if channel is None or found is None:
                return False
            found.active = False
            channel.listeners.remove(found)
            self._drop_if_idle(name, channel)
            return True

    def clear(self) -> None:
        """Let all listeners go."""
        with self._lock:
            for channel in self._channels.values():
                for listener in channel.listeners:
                    listener.active = False
            self._channels.clear()
            self._due.clear()

    def count(self, name: str) -> int:
        """How many listen to a channel."""
        with self._lock:
            return len(channel.listeners) if (channel := self._channels.get(name)) else 0

    def channels(self) -> set[str]:
        """The channels that are listened to, or about to be."""
        with self._lock:
            return set(self._channels)

    # -- the log ---------------------------------------------------------------------------------------------------

    def announce(self, name: str, head: Position) -> None:
        """The log is known to reach `head`."""
        with self._lock:
            channel = self._channels.get(name)
            if channel is not None and self._move(name, channel, head):
                self._wake.set()

    def run(self) -> None:
        """Look until `stop`; while the log cannot be read, look again."""
        while not self._stopped:
            try:
                self.look()
                self._said(None)
            except StoreError as error:
                self._said(error)
            except Exception:
                log.exception("watcher_failed")
            self._wake.wait(self._limits.news_seconds)
            self._wake.clear()

    def stop(self) -> None:
        """End `run` soon."""
        self._stopped = True
        self._wake.set()

    def look(self) -> None:
        """Hear what is new, and hand over what is due. Raises `StoreError`; nothing is forgotten then."""
        if not self._channels:
            self._mark = None
            return
        # What came between the reading of a head and a first mark is in neither, so the heads are read again.
        unsure = self._mark is None or self._failing or self._clock() - self._swept >= self._limits.sweep_seconds
        news = self._store.news(self._mark)
        self._mark = news.mark
        for name, head in news.heads.items():
            self.announce(name, head)
        if unsure:
            self._compare()
        self._serve()

    def _compare(self) -> None:
        for name in self.channels():
            head = self._store.head(name)
            if head is not None:
                self.announce(name, head.position)
            else:
                self._forget(name)
        self._swept = self._clock()

    def _forget(self, name: str) -> None:
        """A channel has no history any more: retention has taken it."""
        with self._lock:
            if (channel := self._channels.get(name)) is not None:
                channel.head = None

    def _serve(self) -> None:
        with self._lock:
            due, self._due = self._due, set()
        pages: dict[tuple[str, int], Page] = {}
        handovers: list[Handover] = []
        try:
            for name in due:
                for listener in self._waiting(name):
                    key = (name, listener.cursor.offset)
                    if key not in pages:
                        pages[key] = self._store.read(*key, self._limits.page_count, self._limits.page_bytes)
                    handovers += self._take(listener, pages[key])
        except Exception:
            with self._lock:
                self._due |= due
            raise
        finally:
            if handovers:
                self._dispatch(handovers)

    def _waiting(self, name: str) -> list[Listener]:
        """The listeners of a channel that are behind and idle."""
        with self._lock:
            channel = self._channels.get(name)
            if channel is None or channel.head is None:
                return []
            head = channel.head
            return [one for one in channel.listeners if not one.busy and one.behind(head)]

    def _take(self, listener: Listener, page: Page) -> list[Handover]:
        with self._lock:
            channel = self._channels.get(listener.channel)
            if channel is None or not listener.active:
                return []
            handover = listener.take(page, self._finished)
            if handover is not None:
                return [handover]
            if channel.head is not None and page.epoch == listener.cursor.epoch != channel.head.epoch:
                # The head came from an old reading, of a history that is gone.
                channel.head = Position(page.epoch, page.head)
            else:
                # This page came from an old reading: read again at the next look.
                self._due.add(listener.channel)
            return []

    def _finished(self, listener: Listener) -> None:
        with self._lock:
            listener.busy = False
            channel = self._channels.get(listener.channel)
            if channel is None or channel.head is None or not listener.behind(channel.head):
                return
            self._due.add(listener.channel)
        self._wake.set()

    def _move(self, name: str, channel: _Channel, head: Position | None) -> bool:
        """Take a head in; False when it is not news. A lower head of the same epoch is an old reading."""
        known = channel.head
        if head is None or (known is not None and known.epoch == head.epoch and known.offset >= head.offset):
            return False
        channel.head = head
        self._due.add(name)
        return True

    def _drop_if_idle(self, name: str, channel: _Channel) -> None:
        if not channel.listeners and not channel.joining and self._channels.get(name) is channel:
            del self._channels[name]
            self._due.discard(name)

    def _said(self, error: StoreError | None) -> None:
        """Write one line when the log goes and one when it is back, not one each time."""
        if error is not None and not self._failing:
            log.warning("log_unreachable", error=str(error))
        elif error is None and self._failing:
            log.info("log_reachable")
        self._failing = error is not None
