"""The deadlines of submitted tasks in SQLite."""

from collections.abc import Sequence
from typing import Any

import msgspec

from skyhooks.store.base import Deadline
from skyhooks.store.sqlite.facet import Facet


class SqliteDeadlines(Facet):
    """A `DeadlineStore`."""

    def add_deadlines(self, deadlines: Sequence[Deadline]) -> None:
        """See `DeadlineStore.add_deadlines`."""
        with self._database.writing() as db:
            now = self._database.clock()
            db.executemany(
                "INSERT OR IGNORE INTO deadline (task_id, reason, seconds, account, task, at, due)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(d.task_id, d.reason, d.seconds, d.account, d.task, now, now + d.seconds) for d in deadlines],
            )

    def overdue(self, limit: int = 100) -> list[Deadline]:
        """See `DeadlineStore.overdue`."""
        with self._database.reading() as db:
            now = self._database.clock()
            rows = db.execute(
                "SELECT task_id, reason, seconds, account, task, at FROM deadline WHERE due <= ? ORDER BY due LIMIT ?",
                (now, limit),
            )
            return [_deadline(row, now) for row in rows]

    def settle_deadlines(self, deadlines: Sequence[Deadline]) -> None:
        """See `DeadlineStore.settle_deadlines`."""
        with self._database.writing() as db:
            db.executemany(
                "DELETE FROM deadline WHERE task_id = ? AND reason = ?", [(d.task_id, d.reason) for d in deadlines]
            )


def _deadline(row: tuple[Any, ...], now: float) -> Deadline:
    *fields, at = row
    names = ("task_id", "reason", "seconds", "account", "task")
    return msgspec.convert({**dict(zip(names, fields, strict=True)), "age": now - at}, Deadline)
