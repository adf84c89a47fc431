"""A channel on one node: its ring, its live group and its laggards.

Theory of operation. `flushed` is what the live group has been sent; the ring's head may be ahead of it until the
next flush, once a turn of the event loop. A flush joins what is new into one chunk per encoding and writes it to
each live subscriber. One whose connection does not take all of it becomes a laggard with a cursor of its own. It
catches up from the ring, or from the log once it has fallen off the ring, never past `flushed`, and joins the live
group when its cursor equals it: so it neither misses nor repeats anything. A subscriber that comes with a position
is a laggard at that position; that is all that resume is.

Delivery is contiguous. `offer` takes only the publication that follows the ring's head; behind a hole the channel
asks for the log instead (`Needs.fill`) and what was offered comes back from there.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from gateway.hub.encoding import Encoding
from gateway.hub.ring import Chunk, Ring, join
from gateway.hub.subscriber import State, Subscriber
from skyhooks.publication import START, Position, Publication
from skyhooks.store.base import Page

HISTORY_CHANGED: Final = 1012
"""Close code that tells a client to come back with its position: RFC 6455's registry, "service restart"."""

TRY_AGAIN: Final = 1013
"""Close code for a condition that passes: RFC 6455's registry, "try again later"."""

CATCH_UP_BYTES: Final = 256 * 1024
"""A laggard is written about this much at a time, so that one write never builds a huge chunk."""


class Needs(Protocol):
    """What a channel asks of its node. Neither call waits, and each is answered later by a call back."""

    def dirty(self, channel: "Channel") -> None:
        """Call `flush` at the end of this turn."""
        ...

    def fill(self, channel: "Channel") -> None:
        """Read the log after the ring's head and call `filled`."""
        ...

    def replay(self, channel: "Channel", subscriber: Subscriber) -> None:
        """Read the log after the subscriber's cursor and call `replayed`."""
        ...


class Channel:
    """One channel. Create it, then `open` it with what the log says of its head."""

    __slots__ = (
        "_earliest",
        "_known",
        "_live",
        "_others",
        "_wanted",
        "durable",
        "epoch",
        "flushed",
        "idle_since",
        "name",
        "needs",
        "ready",
        "ring",
    )

    def __init__(self, name: str, needs: Needs, *, durable: bool, count: int, size: int) -> None:
        self.name = name
        self.needs = needs
        self.durable = durable
        self.epoch = ""
        self.flushed = 0
        self.ring = Ring(0, count, size)
        self.ready = False
        self.idle_since: float | None = None
        self._wanted = 0
        self._earliest = 0
        self._known = START
        self._live: dict[Encoding, dict[Subscriber, None]] = {}
        self._others: dict[Subscriber, None] = {}

    @property
    def position(self) -> Position:
        """Where the live group stands."""
        return Position(self.epoch, self.flushed) if self.epoch else START

    @property
    def subscribers(self) -> int:
        """How many there are, laggards included."""
        return sum(map(len, self._live.values())) + len(self._others)

    def open(self, epoch: str, head: int) -> None:
        """The log's newest row is at `head` of `epoch` (empty and 0: no history). Those who waited for it begin."""
        self.epoch = epoch or self._known.epoch
        # Whoever has had its answer already is to see what was published since, though the head was read after that.
        self.flushed = min(head, self._earliest - 1) if self._earliest else head
        self.ring.reset(self.flushed)
        self.ready = True
        self._ask_for(max(head, self._wanted))
        for subscriber in tuple(self._others):
            self.join(subscriber)

    # -- publications in -------------------------------------------------------------------------------------------

    def offer(self, epoch: str, publication: Publication) -> None:
        """Take a publication that has been committed. Old ones are ignored; behind a hole the log is asked for."""
        if not self.ready:
            self._wanted = max(self._wanted, publication.offset)
            if self._others:
                self._earliest = min(self._earliest or publication.offset, publication.offset)
        elif epoch != self.epoch and self.epoch:
            self.announce(Position(epoch, publication.offset))
        elif publication.offset == self.ring.head + 1:
            self.epoch = epoch
            self.ring.append(publication)
            self.needs.dirty(self)
        else:
            self._ask_for(publication.offset)

    def announce(self, head: Position) -> None:
        """The log is known to reach `head`. A lower head of the same epoch is ignored."""
        if not self.ready:
            self._wanted = max(self._wanted, head.offset)
            self._known = head
            return
        if self.epoch and head.epoch != self.epoch:
            self._restart(head.epoch)
        self.epoch = head.epoch
        self._ask_for(head.offset)

    def filled(self, page: Page) -> None:
        """A page of the log, asked for by `Needs.fill`, is here."""
        if page.epoch != self.epoch and self.epoch:
            if page.epoch:
                self._restart(page.epoch)
                self._ask_for(page.head)
            return
        if page.after > page.head:
            # Asked for when the history was another one, and longer.
            self._wanted = page.head
            self._ask_for(page.head)
            return
        self.epoch = page.epoch
        if page.after > self.ring.head:
            self._skip_to(page.after)
        for publication in page.publications:
            if publication.offset == self.ring.head + 1:
                self.ring.append(publication)
        if self.ring.head > self.flushed:
            self.needs.dirty(self)
        if page.publications or page.after > self.flushed:
            self._ask_for(max(self._wanted, page.head))
        else:
            # The log holds nothing more: whoever claimed a higher head was wrong, or a client made its position up.
            self._wanted = self.ring.head

    def _ask_for(self, offset: int) -> None:
        self._wanted = max(self._wanted, offset)
        if self._wanted > self.ring.head and self.durable:
            self.needs.fill(self)

    def _skip_to(self, offset: int) -> None:
        """Retention took rows that this node never saw: each subscriber finds out by itself, from the log."""
        self.flush()
        for group in self._live.values():
            for subscriber in group:
                subscriber.cursor = self.flushed
                self._others[subscriber] = None
            group.clear()
        behind = tuple(self._others)
        self.ring.reset(offset)
        self.flushed = offset
        for subscriber in behind:
            if subscriber.state in (State.LIVE, State.AHEAD):
                self.catch_up(subscriber)

    def _restart(self, epoch: str) -> None:
        """The log has a new history. Everyone is sent away and told of it when they come back with their position."""
        everyone = [*self._others, *(one for group in self._live.values() for one in group)]
        self.epoch = epoch
        self.flushed = self._wanted = 0
        self.ring.reset(0)
        for subscriber in everyone:
            self.dismiss(subscriber, HISTORY_CHANGED, "the channel has a new history; reconnect with your position")

    # -- publications out ------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what is new to the live group, one write each."""
        head = self.ring.head
        if head == self.flushed:
            return
        for encoding, group in self._live.items():
            if group:
                self._write_all(group, self.ring.chunk(encoding, self.epoch, self.flushed, head))
        self.flushed = head
        self.ring.trim(head)
        for subscriber in tuple(self._others):
            if subscriber.state is State.AHEAD:
                self.catch_up(subscriber)

    def _write_all(self, group: dict[Subscriber, None], chunk: Chunk) -> None:
        if not chunk.ends:
            return
        data, ends, count = chunk.data, chunk.ends, len(chunk.ends)
        for subscriber in tuple(group):
            taken = subscriber.sink.send(data, ends)
            if taken < count and subscriber in group:
                del group[subscriber]
                self._others[subscriber] = None
                subscriber.cursor = chunk.cursor(taken)
                subscriber.move(State.FULL)

    # -- subscribers -----------------------------------------------------------------------------------------------

    def join(self, subscriber: Subscriber) -> None:
        """Take a subscriber in, from its position or from now on."""
        self._others[subscriber] = None
        self.idle_since = None
        if not self.ready:
            return
        since, encoding = subscriber.since, subscriber.encoding
        if since is None:
            subscriber.cursor = self.flushed
            notice = encoding.hello(self.position)
        elif since.epoch in ("", self.epoch):
            subscriber.cursor = since.offset
            notice = encoding.hello(since)
        else:
            subscriber.cursor = 0 if self.durable else self.flushed
            here = Position(self.epoch, subscriber.cursor) if self.epoch else START
            notice = encoding.gap(since, here)
        subscriber.notice = encoding.opening(self.name) + notice
        self.catch_up(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """Let a subscriber go, whatever it was doing."""
        subscriber.move(State.GONE)
        self._others.pop(subscriber, None)
        self._live.get(subscriber.encoding, {}).pop(subscriber, None)

    def dismiss(self, subscriber: Subscriber, code: int, reason: str) -> None:
        """Let a subscriber go and end its connection in order."""
        self.leave(subscriber)
        subscriber.sink.close(code, reason)

    def catch_up(self, subscriber: Subscriber) -> None:
        """Write to a laggard until it is live, full, or needs the log."""
        if subscriber.notice:
            if not subscriber.sink.send(subscriber.notice, (len(subscriber.notice),)):
                subscriber.move(State.FULL)
                return
            subscriber.notice = b""
        while subscriber.cursor != self.flushed:
            if subscriber.cursor > self.flushed:
                if subscriber.state is not State.AHEAD:
                    subscriber.move(State.AHEAD)
                    self._ask_for(subscriber.cursor)
                return
            from_ring = subscriber.cursor >= self.ring.base
            if not subscriber.may_catch_up(reading=self.durable and not from_ring):
                # What would be made ready now would be thrown away.
                subscriber.move(State.FULL)
                return
            if from_ring:
                after, encoding = subscriber.cursor, subscriber.encoding
                chunk = self.ring.chunk(encoding, self.epoch, after, self.flushed, CATCH_UP_BYTES)
            elif self.durable:
                subscriber.move(State.FETCHING)
                self.needs.replay(self, subscriber)
                return
            else:
                base = self.ring.base
                notice = self._gap(subscriber.cursor, base, subscriber.encoding)
                chunk = join(subscriber.cursor, base, [(base, notice)] if notice else [])
            if not self._write(subscriber, chunk):
                return
        self._others.pop(subscriber, None)
        subscriber.move(State.LIVE)
        self._live.setdefault(subscriber.encoding, {})[subscriber] = None

    def replayed(self, subscribers: Sequence[Subscriber], page: Page) -> None:
        """A page of the log, asked for by `Needs.replay` for all who stand at the same cursor, is here."""
        chunks: dict[Encoding, Chunk] = {}
        for subscriber in subscribers:
            if subscriber.state is not State.FETCHING:
                continue
            if page.epoch != self.epoch:
                self.dismiss(subscriber, HISTORY_CHANGED, "the channel has a new history; reconnect with your position")
            elif not page.publications and page.after <= subscriber.cursor:
                self.dismiss(subscriber, TRY_AGAIN, "the log is shorter than it was; reconnect with your position")
            else:
                chunk = chunks.get(subscriber.encoding)
                if chunk is None:
                    chunk = chunks[subscriber.encoding] = self._chunk(page, subscriber.cursor, subscriber.encoding)
                if self._write(subscriber, chunk):
                    self.catch_up(subscriber)

    def _chunk(self, page: Page, cursor: int, encoding: Encoding) -> Chunk:
        """A page for those who stand at `cursor`, led by a gap when it begins later."""
        frames = [(page.after, self._gap(cursor, page.after, encoding))] if page.after > cursor else []
        frames += [
            (one.offset, encoding.publication(Position(self.epoch, one.offset), one.data))
            for one in page.publications
            if not one.control
        ]
        last = page.publications[-1].offset if page.publications else page.after
        return join(cursor, last, [frame for frame in frames if frame[1]])

    def _gap(self, cursor: int, upto: int, encoding: Encoding) -> bytes:
        """The notice that everything after `cursor` up to `upto` is lost; empty where an encoding has none."""
        return encoding.gap(Position(self.epoch, cursor), Position(self.epoch, upto))

    def _write(self, subscriber: Subscriber, chunk: Chunk) -> bool:
        """Write a chunk to a laggard and move its cursor; False when its connection is full or gone."""
        taken = subscriber.sink.send(chunk.data, chunk.ends) if chunk.ends else 0
        subscriber.cursor = chunk.cursor(taken)
        if taken < len(chunk.ends):
            subscriber.move(State.FULL)
        return taken == len(chunk.ends)
