"""Celery's results in MongoDB. When one has run out is decided by the server's clock as it is asked for."""

from typing import Any

from skyhooks.store.mongo.clock import later
from skyhooks.store.mongo.facet import Facet
from skyhooks.store.mongo.schema import RESULTS
from skyhooks.store.mongo.steps import Steps, call, find, find_one


class Results(Facet):
    """A `ResultStore`."""

    def put_result(self, key: str, value: bytes, ttl: float | None) -> Steps[None]:
        """See `ResultStore.put_result`."""
        expires = {} if ttl is None else {"expires": later(self._clock.now(), ttl)}
        change = [{"$replaceWith": {"_id": {"$literal": key}, "value": {"$literal": value}, **expires}}]
        yield call(RESULTS, "update_one", {"_id": key}, change, upsert=True)

    def get_result(self, key: str) -> Steps[bytes | None]:
        """See `ResultStore.get_result`."""
        lasting = [{"expires": {"$exists": False}}, {"$expr": {"$gt": ["$expires", self._clock.now()]}}]
        found: dict[str, Any] | None = yield find_one(RESULTS, {"_id": key, "$or": lasting})
        return found["value"] if found else None

    def delete_result(self, key: str) -> Steps[None]:
        """See `ResultStore.delete_result`."""
        yield call(RESULTS, "delete_one", {"_id": key})

    def sweep_results(self, limit: int = 1000) -> Steps[int]:
        """See `ResultStore.sweep_results`."""
        # A value put anew in between has another time, so the time is asked for again.
        over = {"expires": {"$exists": True}, "$expr": {"$lte": ["$expires", self._clock.now()]}}
        found: list[dict[str, Any]] = yield find(RESULTS, over, projection=["_id"], limit=limit)
        if not found:
            return 0
        removed = yield call(RESULTS, "delete_many", {"_id": {"$in": [one["_id"] for one in found]}, **over})
        return int(removed.deleted_count)
