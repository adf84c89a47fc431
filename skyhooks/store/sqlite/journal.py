"""The journal in SQLite."""

from collections.abc import Sequence
from typing import Final

from skyhooks.store.base import JournalEntry
from skyhooks.store.sqlite.facet import Facet

_ENTRIES: Final = "SELECT at, event, node, account, task_id, data FROM journal WHERE at >= :since"
_OF_ACCOUNT: Final = " AND account = :account"
_OF_TASK: Final = " AND task_id = :task_id"
_IN_ORDER: Final = " ORDER BY at, number LIMIT :limit"


class SqliteJournal(Facet):
    """A `JournalStore`."""

    def add_journal(self, entries: Sequence[JournalEntry]) -> None:
        """See `JournalStore.add_journal`."""
        with self._database.writing() as db:
            now = self._database.clock()
            db.executemany(
                "INSERT INTO journal (at, event, node, account, task_id, data) VALUES (?, ?, ?, ?, ?, ?)",
                [(now, entry.event, entry.node, entry.account, entry.task_id, entry.data) for entry in entries],
            )

    def journal(
        self, account: str | None = None, since: float = 0.0, limit: int = 1000, task_id: str | None = None
    ) -> list[JournalEntry]:
        """See `JournalStore.journal`."""
        query = _ENTRIES + (_OF_ACCOUNT if account is not None else "") + (_OF_TASK if task_id is not None else "")
        asked = {"since": since, "account": account, "task_id": task_id, "limit": limit}
        with self._database.reading() as db:
            return [
                JournalEntry(at=at, event=event, node=node, account=of, task_id=task_id, data=data)
                for at, event, node, of, task_id, data in db.execute(query + _IN_ORDER, asked)
            ]

    def trim_journal(self, age: float) -> int:
        """See `JournalStore.trim_journal`."""
        with self._database.writing() as db:
            return db.execute("DELETE FROM journal WHERE at < ?", (self._database.clock() - age,)).rowcount
