"""The journal in MongoDB."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from bson import ObjectId
from pymongo import UpdateOne

from skyhooks.store.base import JournalEntry
from skyhooks.store.mongo.clock import later
from skyhooks.store.mongo.facet import Facet
from skyhooks.store.mongo.schema import JOURNAL
from skyhooks.store.mongo.steps import Document, Steps, call, find


class Journal(Facet):
    """A `JournalStore`."""

    def add_journal(self, entries: Sequence[JournalEntry]) -> Steps[None]:
        """See `JournalStore.add_journal`."""
        if entries:
            yield call(JOURNAL, "bulk_write", [self._insertion(entry) for entry in entries], ordered=True)

    def _insertion(self, entry: JournalEntry) -> UpdateOne:
        # An insert cannot ask the server for its time in milliseconds; an update that makes the document can.
        key = ObjectId()
        document = {"_id": key, **msgspec.structs.asdict(entry)}
        timed = {"$mergeObjects": [{"$literal": document}, {"at": self._clock.now()}]}
        return UpdateOne({"_id": key}, [{"$replaceWith": timed}], upsert=True)

    def journal(
        self, account: str | None = None, since: float = 0.0, limit: int = 1000, task_id: str | None = None
    ) -> Steps[list[JournalEntry]]:
        """See `JournalStore.journal`."""
        query: Document = {"at": {"$gte": datetime.fromtimestamp(since, UTC)}}
        if account is not None:
            query["account"] = account
        if task_id is not None:
            query["task_id"] = task_id
        found: list[dict[str, Any]] = yield find(JOURNAL, query, sort=[("at", 1), ("_id", 1)], limit=limit)
        return [JournalEntry(**{**row, "at": row["at"].timestamp()}) for row in map(_without_key, found)]

    def trim_journal(self, age: float) -> Steps[int]:
        """See `JournalStore.trim_journal`."""
        old = {"$expr": {"$lt": ["$at", later(self._clock.now(), -age)]}}
        removed = yield call(JOURNAL, "delete_many", old)
        return int(removed.deleted_count)


def _without_key(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "_id"}
