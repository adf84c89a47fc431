"""Retention in SQLite: which channels have rows to spare, and taking them in order."""

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Final

from skyhooks.channel import TASKS, Retention
from skyhooks.store.base import Trimmed
from skyhooks.store.retention import spare_channel, spare_data, spare_id
from skyhooks.store.sqlite.facet import Facet

_CANDIDATES: Final = """
SELECT c.id FROM channel c WHERE namespace = :namespace AND (
    (floor < head AND oldest < :aged)
    OR (floor + 1 < head AND (kept > :size OR floor < head - :count))
    OR (:whole AND newest < :aged AND newest < :dedupe)
    OR (NOT :whole AND base < floor AND base + 1 < head
        AND (SELECT s.at FROM slot s WHERE s.channel = c.id AND s."offset" = base + 1) < :dedupe)
) ORDER BY c.id LIMIT :limit
"""
_ROWS: Final = (
    'SELECT "offset", at, length(data) FROM slot LEFT JOIN publication ON mark = publication'
    ' WHERE channel = ? AND "offset" > ? AND "offset" <= ? ORDER BY "offset"'
)
_RANGE: Final = 'channel = ? AND "offset" > ? AND "offset" <= ?'


@dataclass(slots=True)
class _Channel:
    id: int
    base: int
    floor: int
    head: int
    kept: int
    newest: float


class SqliteRetention(Facet):
    """The trimming of a `LogStore`."""

    def trim(self, namespace: str, retention: Retention, limit: int = 1000) -> Trimmed:
        """See `LogStore.trim`. The search for channels does not hold writers up; only taking rows does."""
        now = self._database.clock()
        aged, dedupe = now - retention.age, now - retention.dedupe
        bounds = {"aged": aged, "dedupe": dedupe, "size": retention.size, "count": retention.count, "limit": limit}
        with self._database.reading() as db:
            search = {"namespace": namespace, "whole": namespace == TASKS, **bounds}
            candidates = [row[0] for row in db.execute(_CANDIDATES, search)]
        if not candidates:
            return Trimmed()
        with self._database.writing() as db:
            return _Round(db, namespace, retention, now).trim(candidates, limit)


class _Round:
    """One transaction of retention. Another process may have trimmed since the search, so everything is read again."""

    def __init__(self, db: sqlite3.Connection, namespace: str, retention: Retention, now: float) -> None:
        self._db = db
        self._namespace = namespace
        self._retention = retention
        self._now = now

    def trim(self, candidates: Iterable[int], limit: int) -> Trimmed:
        stripped = forgotten = 0
        for channel_id in candidates:
            row = self._db.execute(
                "SELECT id, base, floor, head, kept, newest FROM channel WHERE id = ?", (channel_id,)
            ).fetchone()
            if row is None:
                continue
            channel = _Channel(*row)
            gone = spare_channel(self._retention, self._namespace, newest=channel.newest, now=self._now)
            stripped += self._strip(channel, gone, limit - stripped - forgotten)
            forgotten += self._forget(channel, gone, limit - stripped - forgotten)
        return Trimmed(stripped, forgotten)

    def _strip(self, channel: _Channel, gone: bool, limit: int) -> int:
        """Take the data of the oldest rows that have any."""
        kept = channel.kept

        def spare(row: tuple[int, float, int]) -> bool:
            nonlocal kept
            offset, at, size = row
            spared = gone or spare_data(
                self._retention, offset=offset, head=channel.head, kept=kept, at=at, now=self._now
            )
            kept -= size if spared else 0
            return spared

        count = self._count(channel, channel.floor, channel.head, limit, spare)
        if count:
            bounds = (channel.id, channel.floor, channel.floor + count)
            marks = f"SELECT publication FROM slot WHERE {_RANGE}"  # noqa: S608 constants only
            self._db.execute(f"UPDATE publication SET holders = holders - 1 WHERE mark IN ({marks})", bounds)  # noqa: S608
            self._db.execute(f"DELETE FROM publication WHERE holders = 0 AND mark IN ({marks})", bounds)  # noqa: S608
            channel.floor += count
            channel.kept = kept
            self._db.execute(
                "UPDATE channel SET floor = :floor, kept = :kept, oldest = coalesce("
                '(SELECT at FROM slot WHERE channel = :id AND "offset" = :floor + 1), 0) WHERE id = :id',
                {"floor": channel.floor, "kept": kept, "id": channel.id},
            )
        return count

    def _forget(self, channel: _Channel, gone: bool, limit: int) -> int:
        """Take the oldest rows that have no data any more, and a channel without rows."""

        def spare(row: tuple[int, float, int]) -> bool:
            offset, at, _ = row
            return gone or spare_id(
                self._retention, self._namespace, offset=offset, head=channel.head, at=at, now=self._now
            )

        count = self._count(channel, channel.base, channel.floor, limit, spare)
        if count:
            self._db.execute(f"DELETE FROM slot WHERE {_RANGE}", (channel.id, channel.base, channel.base + count))  # noqa: S608
            channel.base += count
            self._db.execute("UPDATE channel SET base = ? WHERE id = ?", (channel.base, channel.id))
        if channel.base == channel.head:
            self._db.execute("DELETE FROM channel WHERE id = ?", (channel.id,))
        return count

    def _count(
        self, channel: _Channel, after: int, last: int, limit: int, spare: Callable[[tuple[int, float, int]], bool]
    ) -> int:
        rows = self._db.execute(_ROWS, (channel.id, after, min(last, after + limit)))
        return sum(1 for _ in takewhile(spare, islice(rows, limit)))
