"""Leases in MongoDB: a compare-and-swap on one document by the server's clock, on the primary, at majority.

The document is made when a name is first asked for, apart from taking it, so that taking it never makes one. It stays
when a lease ends: it remembers the term. Taking is not repeated by the driver, and after a reply that was lost nobody
can know whether the lease is still this holder's: its term is then given up, and the next one is new.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from pymongo.errors import DuplicateKeyError, WriteConcernError

from skyhooks.store.base import Lease
from skyhooks.store.mongo.client import CONCERN
from skyhooks.store.mongo.clock import Clock, later
from skyhooks.store.mongo.facet import Facet
from skyhooks.store.mongo.schema import LEASES
from skyhooks.store.mongo.steps import DATABASE, Document, Steps, aggregate, call, find_one

_AFTER_ALL: Final = "\U0010ffff"
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Leases(Facet):
    """A `LeaseStore`."""

    def __init__(self, clock: Clock, steady: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock, steady)
        self._given_up: set[str] = set()

    def lease(self, name: str, holder: str, ttl: float, info: str = "{}") -> Steps[Lease | None]:
        """See `LeaseStore.lease`."""
        try:
            lease = yield from self._take(name, holder, ttl, info)
            if lease is None and (yield from _make(name)):
                lease = yield from self._take(name, holder, ttl, info)
        except BaseException:
            # A caller that stops waiting knows as little as one whose reply was lost.
            self._given_up.add(name)
            raise
        self._given_up.discard(name)
        return lease

    def _take(self, name: str, holder: str, ttl: float, info: str) -> Steps[Lease | None]:
        now = self._clock.now()
        over: Document = {"$lte": ["$expires", now]}
        mine = {"$eq": ["$holder", {"$literal": holder}]}
        anew: Document = {"$or": [over, mine]} if name in self._given_up else over
        change = {
            "term": {"$cond": [anew, {"$add": ["$term", 1]}, "$term"]},
            "holder": {"$literal": holder},
            "expires": later(now, ttl),
            "info": {"$literal": info},
        }
        # A plain command: what pymongo calls find_one_and_update would be sent again after a lost reply.
        command: Document = {
            "findAndModify": LEASES,
            "query": {"_id": name, "$expr": {"$or": [over, mine]}},
            "update": [{"$set": change}],
            "new": True,
            "writeConcern": CONCERN,
        }
        answer: dict[str, Any] = yield call(DATABASE, "command", command)
        if "writeConcernError" in answer:
            problem = answer["writeConcernError"]
            raise WriteConcernError(problem.get("errmsg", ""), problem.get("code"), problem)
        taken = answer["value"]
        return Lease(name, holder, taken["term"], ttl, info) if taken else None

    def release(self, name: str, holder: str, term: int) -> Steps[bool]:
        """See `LeaseStore.release`."""
        now = self._clock.now()
        held = {"_id": name, "holder": holder, "term": term, "$expr": {"$gt": ["$expires", now]}}
        ended = yield call(LEASES, "update_one", held, [{"$set": {"expires": now}}])
        return bool(ended.matched_count)

    def leases(self, prefix: str) -> Steps[list[Lease]]:
        """See `LeaseStore.leases`."""
        now = self._clock.now()
        found: list[dict[str, Any]] = yield aggregate(
            LEASES,
            [
                {"$match": {"_id": {"$gte": prefix, "$lt": prefix + _AFTER_ALL}, "$expr": {"$gt": ["$expires", now]}}},
                {"$sort": {"_id": 1}},
                {"$set": {"left": {"$divide": [{"$subtract": ["$expires", now]}, 1000]}}},
            ],
        )
        return [Lease(one["_id"], one["holder"], one["term"], one["left"], one["info"]) for one in found]


def _make(name: str) -> Steps[bool]:
    """Make a name's document, which nobody holds; False when it is there."""
    if (yield find_one(LEASES, {"_id": name}, projection=["_id"])):
        return False
    try:
        yield call(LEASES, "insert_one", {"_id": name, "holder": "", "term": 0, "expires": _LONG_AGO, "info": "{}"})
    except DuplicateKeyError:
        return True
    return True
