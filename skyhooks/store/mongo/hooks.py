"""The registry's hooks in MongoDB. A worker asks for the hooks of a key before each batch: one query, by an index."""

from collections.abc import Mapping
from typing import Any

import msgspec
from bson import ObjectId

from skyhooks.store.base import Hook
from skyhooks.store.mongo.clock import later
from skyhooks.store.mongo.facet import Facet
from skyhooks.store.mongo.schema import HOOKS, LEASES
from skyhooks.store.mongo.steps import Document, Steps, aggregate, call


class Hooks(Facet):
    """A `HookStore`. A hook's document has what makes it another hook as its key, so that there is one of each."""

    def add_hook(self, hook: Hook) -> Steps[Hook]:
        """See `HookStore.add_hook`."""
        identity = msgspec.json.encode([hook.kind, sorted(hook.keys.items()), hook.url, hook.node]).decode()
        fresh = {
            "_id": identity,
            "id": hook.id,
            "kind": hook.kind,
            # As a list, because a key may be any text, and a field's name may not.
            "keys": [[name, value] for name, value in hook.keys.items()],
            "url": hook.url,
            "node": hook.node,
            "lease": f"nodes/{hook.node}",
            "anchor": min((_anchor(name, value) for name, value in hook.keys.items()), default=""),
            "made": ObjectId(),
        }
        there = {"$ne": [{"$type": "$at"}, "missing"]}
        new = {"$mergeObjects": [{"$literal": fresh}, {"at": self._clock.now()}]}
        found: dict[str, Any] = yield call(
            HOOKS,
            "find_one_and_update",
            {"_id": identity},
            [{"$replaceWith": {"$cond": [there, "$$ROOT", new]}}],
            upsert=True,
            return_document=True,
        )
        return _hook(found)

    def remove_hook(self, hook_id: str) -> Steps[bool]:
        """See `HookStore.remove_hook`."""
        removed = yield call(HOOKS, "delete_one", {"id": hook_id})
        return bool(removed.deleted_count)

    def hooks(self, keys: Mapping[str, str] | None = None, kind: str | None = None) -> Steps[list[Hook]]:
        """See `HookStore.hooks`."""
        query: Document = {} if kind is None else {"kind": kind}
        if keys is not None:
            query["anchor"] = {"$in": ["", *(_anchor(name, value) for name, value in keys.items())]}
        found: list[dict[str, Any]] = yield aggregate(
            HOOKS,
            [
                {"$match": query},
                {"$sort": {"at": 1, "made": 1}},
                *_held_after(self._clock.now()),
                {"$match": {"$or": [{"kind": {"$ne": "gateway"}}, {"held": {"$ne": []}}]}},
            ],
        )
        hooks = [_hook(document) for document in found]
        return [hook for hook in hooks if keys is None or hook.keys.items() <= keys.items()]

    def sweep_hooks(self, age: float = 3600.0) -> Steps[int]:
        """See `HookStore.sweep_hooks`."""
        then = later(self._clock.now(), -age)
        gone: list[dict[str, Any]] = yield aggregate(
            HOOKS,
            [
                {"$match": {"kind": "gateway", "$expr": {"$lt": ["$at", then]}}},
                *_held_after(then),
                {"$match": {"held": []}},
                {"$project": {"_id": 1}},
            ],
        )
        if not gone:
            return 0
        removed = yield call(HOOKS, "delete_many", {"_id": {"$in": [hook["_id"] for hook in gone]}})
        return int(removed.deleted_count)


def _held_after(then: Any) -> list[Document]:
    """Adds `held`: the lease of the hook's node, if it was in force after `then`."""
    in_force = [{"$match": {"$expr": {"$gt": ["$expires", then]}}}, {"$project": {"_id": 1}}]
    return [
        {"$lookup": {"from": LEASES, "localField": "lease", "foreignField": "_id", "pipeline": in_force, "as": "held"}}
    ]


def _anchor(name: str, value: str) -> str:
    """One of a hook's keys; whoever matches the hook has it."""
    return f"{name}={value}"


def _hook(document: dict[str, Any]) -> Hook:
    return Hook(
        id=document["id"],
        kind=document["kind"],
        keys=dict(document["keys"]),
        url=document["url"],
        node=document["node"],
    )
