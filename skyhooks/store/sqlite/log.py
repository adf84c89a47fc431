"""The log in SQLite: appending, reading, and hearing of what others have appended."""

import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from skyhooks.channel import namespace_of
from skyhooks.publication import Draft, Outcome, Position, Publication
from skyhooks.store.base import Head, News, Page
from skyhooks.store.paging import up_to
from skyhooks.store.sqlite.facet import Facet
from skyhooks.store.supersession import TaskHistory

_CHANNEL: Final = (
    "SELECT id, epoch, head, floor, kept, fence, cursor, oldest, ended, run, retries FROM channel WHERE name = ?"
)
_NEW_CHANNEL: Final = (
    "INSERT INTO channel (name, namespace, epoch, base, floor, head, kept, fence, cursor, mark, oldest, newest, ended,"
    " run, retries) VALUES (?, ?, ?, 0, 0, 0, 0, 0, '', 0, 0, 0, 0, '', 0)"
)
_SAVE_CHANNEL: Final = (
    "UPDATE channel SET head = ?, kept = ?, fence = ?, cursor = ?, mark = ?, oldest = ?, newest = ?, ended = ?,"
    " run = ?, retries = ? WHERE id = ?"
)
_PUBLICATION: Final = "INSERT INTO publication (data, control, holders) VALUES (?, ?, ?)"
_SLOT: Final = 'INSERT INTO slot (channel, "offset", id, publication, at, run) VALUES (?, ?, ?, ?, ?, ?)'
_OFFSET_OF: Final = 'SELECT "offset" FROM slot WHERE channel = ? AND id = ?'
_RUN_SEEN: Final = "SELECT 1 FROM slot WHERE channel = ? AND run = ? LIMIT 1"
_PAGE: Final = (
    'SELECT s.id, s."offset", p.data, p.control FROM slot s JOIN publication p ON p.mark = s.publication'
    ' WHERE s.channel = ? AND s."offset" > ? AND s."offset" <= ? ORDER BY s."offset"'
)


@dataclass(slots=True)
class _Channel:
    """A channel's row while a batch is appended to it; `mark` is that of its newest publication in this batch."""

    id: int
    epoch: str
    head: int = 0
    floor: int = 0
    kept: int = 0
    fence: int = 0
    cursor: str = ""
    oldest: float = 0.0
    history: TaskHistory = field(default_factory=TaskHistory)
    mark: int = 0


class SqliteLog(Facet):
    """Appending and reading of a `LogStore`."""

    def append(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """See `LogStore.append`. All drafts are one transaction, and so one wait for the disk."""
        if not drafts:
            return []
        with self._database.writing() as db:
            batch = _Batch(db, self._database.clock())
            outcomes = [batch.append(draft) for draft in drafts]
            batch.save()
        return outcomes

    def head(self, channel: str) -> Head | None:
        """See `LogStore.head`."""
        with self._database.reading() as db:
            row = db.execute("SELECT epoch, head, fence, cursor FROM channel WHERE name = ?", (channel,)).fetchone()
        return Head(*row) if row else None

    def read(self, channel: str, after: int, limit: int = 500, size: int = 1 << 20) -> Page:
        """See `LogStore.read`."""
        with self._database.reading() as db:
            row = db.execute("SELECT id, epoch, head, floor FROM channel WHERE name = ?", (channel,)).fetchone()
            if row is None:
                return Page("", 0, after)
            channel_id, epoch, head, floor = row
            after = max(after, floor)
            rows = db.execute(_PAGE, (channel_id, after, after + limit))
            publications = up_to(size, (Publication(i, offset, data, bool(c)) for i, offset, data, c in rows))
        return Page(epoch, head, after, publications)

    def news(self, mark: int | None) -> News:
        """See `LogStore.news`."""
        with self._database.watching() as connection:
            # Asked before the query: a commit in between is then seen twice rather than never.
            version: int = connection.db.execute("PRAGMA data_version").fetchone()[0]
            if mark is not None and version == connection.seen_version and mark == connection.seen_mark:
                return News(mark)
            with connection.reading() as db:
                row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'publication'").fetchone()
                newest: int = row[0] if row else 0
                heads = {} if mark is None else _grown(db, mark, newest)
            connection.seen_version, connection.seen_mark = version, newest
        return News(newest, heads)


class _Batch:
    """Drafts being appended in one transaction."""

    def __init__(self, db: sqlite3.Connection, now: float) -> None:
        self._db = db
        self._now = now
        self._channels: dict[str, _Channel] = {}

    def append(self, draft: Draft) -> Outcome:
        there = {name: channel for name in draft.channels if (channel := self._find(name))}
        known = {name: at for name, channel in there.items() if (at := self._position(channel, draft.id))}
        if known:
            return Outcome("duplicate", known)
        first = there.get(draft.channels[0])
        if draft.task and first and first.history.supersedes(draft.task, lambda run: self._has_run(first, run)):
            return Outcome("superseded")
        if any(channel.fence > draft.fence for channel in there.values()):
            return Outcome("fenced")
        mark = self._db.execute(_PUBLICATION, (draft.data, draft.control, len(draft.channels))).lastrowid or 0
        return Outcome("stored", {name: self._insert(name, draft, mark) for name in draft.channels})

    def save(self) -> None:
        self._db.executemany(
            _SAVE_CHANNEL,
            [
                (
                    c.head,
                    c.kept,
                    c.fence,
                    c.cursor,
                    c.mark,
                    c.oldest,
                    self._now,
                    *msgspec.structs.astuple(c.history),
                    c.id,
                )
                for c in self._channels.values()
                if c.mark
            ],
        )

    def _find(self, name: str) -> _Channel | None:
        channel = self._channels.get(name)
        if channel is None and (row := self._db.execute(_CHANNEL, (name,)).fetchone()):
            channel = self._channels[name] = _Channel(*row[:8])
            channel.history = TaskHistory(*row[8:])
        return channel

    def _position(self, channel: _Channel, publication_id: str) -> Position | None:
        row = self._db.execute(_OFFSET_OF, (channel.id, publication_id)).fetchone()
        return Position(channel.epoch, row[0]) if row else None

    def _has_run(self, channel: _Channel, run: str) -> bool:
        return self._db.execute(_RUN_SEEN, (channel.id, run)).fetchone() is not None

    def _insert(self, name: str, draft: Draft, mark: int) -> Position:
        channel = self._find(name) or self._create(name)
        task = draft.task if name == draft.channels[0] else None
        channel.head += 1
        channel.kept += len(draft.data)
        channel.fence = draft.fence
        channel.cursor = draft.cursor or channel.cursor
        channel.mark = mark
        if channel.head == channel.floor + 1:
            channel.oldest = self._now
        if task:
            channel.history = channel.history.after(task)
        self._db.execute(_SLOT, (channel.id, channel.head, draft.id, mark, self._now, task.run if task else ""))
        return Position(channel.epoch, channel.head)

    def _create(self, name: str) -> _Channel:
        epoch = secrets.token_hex(8)
        row_id = self._db.execute(_NEW_CHANNEL, (name, namespace_of(name), epoch)).lastrowid or 0
        channel = self._channels[name] = _Channel(row_id, epoch)
        return channel


def _grown(db: sqlite3.Connection, mark: int, newest: int) -> dict[str, Position]:
    # A mark from the future belongs to a file that was replaced: everything is news then.
    since = mark if mark <= newest else 0
    rows = db.execute("SELECT name, epoch, head FROM channel WHERE mark > ? ORDER BY mark", (since,))
    return {name: Position(epoch, head) for name, epoch, head in rows}
