"""The journal in SQLite."""

from collections.abc import Sequence
from typing import Final

from skyhooks.store.base import JournalEntry
from skyhooks.store.sqlite.facet import Facet

_ENTRIES: Final = "SELECT at, event, node, account, task_id, data FROM journal WHERE at >= :since"
_OF_ALL: Final = _ENTRIES + " ORDER BY at, number LIMIT :limit"
_OF_ACCOUNT: Final = _ENTRIES + " AND account = :account ORDER BY at, number LIMIT :limit"


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

    def journal(self, account: str | None = None, since: float = 0.0, limit: int = 1000) -> list[JournalEntry]:
        """See `JournalStore.journal`."""
        query = _OF_ALL if account is None else _OF_ACCOUNT
        with self._database.reading() as db:
            return [
                JournalEntry(at=at, event=event, node=node, account=of, task_id=task_id, data=data)
                for at, event, node, of, task_id, data in db.execute(
                    query, {"since": since, "account": account, "limit": limit}
                )
            ]

    def trim_journal(self, age: float) -> int:
        """See `JournalStore.trim_journal`."""
        with self._database.writing() as db:
            return db.execute("DELETE FROM journal WHERE at < ?", (self._database.clock() - age,)).rowcount
