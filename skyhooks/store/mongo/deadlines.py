"""The deadlines of submitted tasks in MongoDB, by the server's clock."""

from collections.abc import Sequence
from typing import Any

from pymongo import UpdateOne

from skyhooks.store.base import Deadline
from skyhooks.store.mongo.clock import later
from skyhooks.store.mongo.facet import Facet
from skyhooks.store.mongo.schema import DEADLINES
from skyhooks.store.mongo.steps import Document, Steps, aggregate, call


class Deadlines(Facet):
    """A `DeadlineStore`. The key is task and reason, so that there is one of each."""

    def add_deadlines(self, deadlines: Sequence[Deadline]) -> Steps[None]:
        """See `DeadlineStore.add_deadlines`."""
        changes = [UpdateOne({"_id": _key(one)}, self._addition(one), upsert=True) for one in deadlines]
        if changes:
            yield call(DEADLINES, "bulk_write", changes)

    def overdue(self, limit: int = 100) -> Steps[list[Deadline]]:
        """See `DeadlineStore.overdue`."""
        now = self._clock.now()
        found: list[dict[str, Any]] = yield aggregate(
            DEADLINES,
            [
                {"$match": {"$expr": {"$lte": ["$due", now]}}},
                {"$sort": {"due": 1}},
                {"$limit": limit},
                {"$set": {"age": {"$divide": [{"$subtract": [now, "$at"]}, 1000]}}},
            ],
        )
        names = Deadline.__struct_fields__
        return [Deadline(**{name: one[name] for name in names}) for one in found]

    def settle_deadlines(self, deadlines: Sequence[Deadline]) -> Steps[None]:
        """See `DeadlineStore.settle_deadlines`."""
        yield call(DEADLINES, "delete_many", {"_id": {"$in": [_key(one) for one in deadlines]}})

    def _addition(self, one: Deadline) -> list[Document]:
        """What makes the document where there is none, with the server's time, and changes nothing where there is."""
        now = self._clock.now()
        fresh = {
            "_id": _key(one),
            "task_id": one.task_id,
            "reason": one.reason,
            "seconds": one.seconds,
            "account": one.account,
            "task": one.task,
        }
        new = {"$mergeObjects": [{"$literal": fresh}, {"at": now, "due": later(now, one.seconds)}]}
        there = {"$ne": [{"$type": "$at"}, "missing"]}
        return [{"$replaceWith": {"$cond": [there, "$$ROOT", new]}}]


def _key(one: Deadline) -> str:
    return f"{one.reason}:{one.task_id}"
