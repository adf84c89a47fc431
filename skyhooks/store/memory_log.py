"""The log of the store in dictionaries: channels as lists of rows."""

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from skyhooks.channel import Retention, namespace_of
from skyhooks.publication import Draft, Outcome, Position, Publication
from skyhooks.store.base import Head, News, Page, Trimmed
from skyhooks.store.retention import spare_channel, spare_data, spare_id
from skyhooks.store.supersession import TaskHistory


@dataclass(slots=True)
class _Row:
    """One publication in one channel; without `data` it is a tombstone. `mark` counts appends of the whole store."""

    id: str
    data: bytes | None
    control: bool
    run: str
    at: float
    mark: int


@dataclass(slots=True)
class _Channel:
    """`rows` are the offsets from `base` + 1 to the head; up to `floor` they are tombstones. `kept` is in bytes."""

    epoch: str
    rows: list[_Row] = field(default_factory=list)
    base: int = 0
    floor: int = 0
    kept: int = 0
    fence: int = 0
    cursor: str = ""
    history: TaskHistory = field(default_factory=TaskHistory)
    offsets: dict[str, int] = field(default_factory=dict)

    @property
    def head(self) -> int:
        return self.base + len(self.rows)

    def row(self, offset: int) -> _Row:
        return self.rows[offset - self.base - 1]

    def has_run(self, run: str) -> bool:
        return any(row.run == run for row in self.rows)


class MemoryLog:
    """A `LogStore`. `clock` gives the store's time in seconds since 1970."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._channels: dict[str, _Channel] = {}
        self._mark = 0

    def append(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """See `LogStore.append`."""
        with self._lock:
            now = self._clock()
            return [self._append(draft, now) for draft in drafts]

    def _append(self, draft: Draft, now: float) -> Outcome:
        there = {name: channel for name in draft.channels if (channel := self._channels.get(name))}
        if known := {n: Position(c.epoch, c.offsets[draft.id]) for n, c in there.items() if draft.id in c.offsets}:
            return Outcome("duplicate", known)
        first = there.get(draft.channels[0])
        if draft.task and first and first.history.supersedes(draft.task, first.has_run):
            return Outcome("superseded")
        if any(channel.fence > draft.fence for channel in there.values()):
            return Outcome("fenced")
        self._mark += 1
        return Outcome("stored", {name: self._insert(name, draft, now) for name in draft.channels})

    def _insert(self, name: str, draft: Draft, now: float) -> Position:
        channel = self._channels.setdefault(name, _Channel(secrets.token_hex(8)))
        run = draft.task.run if draft.task and name == draft.channels[0] else ""
        channel.rows.append(_Row(draft.id, draft.data, draft.control, run, now, self._mark))
        channel.offsets[draft.id] = channel.head
        channel.kept += len(draft.data)
        channel.fence = draft.fence
        channel.cursor = draft.cursor or channel.cursor
        if draft.task and name == draft.channels[0]:
            channel.history = channel.history.after(draft.task)
        return Position(channel.epoch, channel.head)

    def head(self, channel: str) -> Head | None:
        """See `LogStore.head`."""
        with self._lock:
            known = self._channels.get(channel)
            return Head(known.epoch, known.head, known.fence, known.cursor) if known else None

    def read(self, channel: str, after: int, limit: int = 500, size: int = 1 << 20) -> Page:
        """See `LogStore.read`."""
        with self._lock:
            known = self._channels.get(channel)
            if known is None:
                return Page("", 0, after)
            after = max(after, known.floor)
            publications: list[Publication] = []
            for offset in range(after + 1, min(known.head, after + limit) + 1):
                row = known.row(offset)
                data = row.data or b""
                size -= len(data)
                if size < 0 and publications:
                    break
                publications.append(Publication(row.id, offset, data, row.control))
            return Page(known.epoch, known.head, after, tuple(publications))

    def news(self, mark: int | None) -> News:
        """See `LogStore.news`."""
        with self._lock:
            if mark is None:
                return News(self._mark)
            grown = {n: Position(c.epoch, c.head) for n, c in self._channels.items() if c.rows[-1].mark > mark}
            return News(self._mark, grown)

    def trim(self, namespace: str, retention: Retention, limit: int = 1000) -> Trimmed:
        """See `LogStore.trim`."""
        with self._lock:
            now = self._clock()
            stripped = forgotten = 0
            for name, channel in list(self._channels.items()):
                if namespace_of(name) != namespace:
                    continue
                gone = spare_channel(retention, namespace, newest=channel.rows[-1].at, now=now)
                while stripped + forgotten < limit and _strip(channel, retention, now, gone):
                    stripped += 1
                while stripped + forgotten < limit and _forget(channel, retention, namespace, now, gone):
                    forgotten += 1
                if not channel.rows:
                    del self._channels[name]
            return Trimmed(stripped, forgotten)


def _strip(channel: _Channel, retention: Retention, now: float, gone: bool) -> bool:
    """Take the data of the oldest row that has any; False when it has to stay."""
    offset = channel.floor + 1
    if offset > channel.head:
        return False
    row = channel.row(offset)
    if not gone and not spare_data(retention, offset=offset, head=channel.head, kept=channel.kept, at=row.at, now=now):
        return False
    channel.kept -= len(row.data or b"")
    row.data = None
    channel.floor = offset
    return True


def _forget(channel: _Channel, retention: Retention, namespace: str, now: float, gone: bool) -> bool:
    """Take the oldest row, if it is a tombstone; False when it has to stay."""
    offset = channel.base + 1
    if offset > channel.floor:
        return False
    row = channel.row(offset)
    if not gone and not spare_id(retention, namespace, offset=offset, head=channel.head, at=row.at, now=now):
        return False
    del channel.rows[0], channel.offsets[row.id]
    channel.base = offset
    return True
