"""How far retention has looked, so that a round costs what there is to do and not what is stored.

Rows are stored in the order of their times, so they become old in that order too. A namespace has three fronts that
move through the times: up to `grown` all rows have been looked at for being too many, up to `aged` for their age, and
up to `deduped` for the age of their ids. A round looks at the channels of the rows between each front and where it
should be. The fronts stand in the store, shared by all who trim; under other limits they begin anew.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from bson import Timestamp

from skyhooks.channel import TASKS, Retention, namespace_of
from skyhooks.store.mongo.row import ROWS, slot_of
from skyhooks.store.mongo.schema import ROUNDS
from skyhooks.store.mongo.steps import Document, Steps, aggregate, call, find_one

SLICE: Final = 5_000
"""Rows looked at together."""

LATE: Final = 10
"""Seconds by which a row may become visible later than one with a later time."""

START: Final = Timestamp(0, 0)
_LAST_INC: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Fronts:
    """How far each look has come."""

    grown: Timestamp = START
    aged: Timestamp = START
    deduped: Timestamp = START


@dataclass(frozen=True, slots=True)
class Candidates:
    """Channels to look at, oldest first, and where the fronts are after that; `more` when a slice was full."""

    channels: list[str]
    fronts: Fronts
    more: bool


class Rounds:
    """The fronts of one namespace under certain limits, and the way to move them."""

    def __init__(self, namespace: str, retention: Retention) -> None:
        self._namespace = namespace
        self._retention = retention
        self._limits = msgspec.to_builtins(retention)
        self._slot = slot_of(namespace)

    def load(self) -> Steps[Fronts]:
        """The fronts as the last round left them."""
        found: Document | None = yield find_one(ROUNDS, {"_id": self._namespace})
        if found is None or found["limits"] != self._limits:
            return Fronts()
        return Fronts(found["grown"], found["aged"], found["deduped"])

    def save(self, fronts: Fronts) -> Steps[None]:
        """Remember how far a round has come. Everything behind the fronts must have been done."""
        # What was committed late may have times before those that were seen.
        grown = Timestamp(max(fronts.grown.time - LATE, 0), fronts.grown.inc)
        change = {"limits": self._limits, "grown": grown, "aged": fronts.aged, "deduped": fronts.deduped}
        yield call(ROUNDS, "update_one", {"_id": self._namespace}, {"$set": change}, upsert=True)

    def targets(self, now: float) -> Steps[Fronts]:
        """Where the fronts should be by now."""
        newest: Document | None = yield find_one(ROWS, {}, projection=["at"], sort=[("at", -1)])
        grown = newest["at"] if newest else START
        return Fronts(grown, _before(now - self._retention.age), _before(now - self._retention.dedupe))

    def candidates(self, fronts: Fronts, targets: Fronts) -> Steps[Candidates]:
        """The channels between the fronts and their targets, from the next slice of each."""
        grown = yield from self._slice(fronts.grown, targets.grown)
        aged = yield from self._slice(fronts.aged, targets.aged)
        deduped = yield from self._slice(fronts.deduped, targets.deduped)
        channels = {channel["_id"]: channel["epoch"] for channel in grown.channels if self._may_be_too_much(channel)}
        channels |= {channel["_id"]: channel["epoch"] for channel in [*aged.channels, *deduped.channels]}
        return Candidates(
            sorted(channels, key=lambda name: (channels[name], name)),
            Fronts(grown.end, aged.end, deduped.end),
            grown.more or aged.more or deduped.more,
        )

    def _may_be_too_much(self, channel: Document) -> bool:
        """Whether a channel that has grown can have rows to spare; of a tasks channel none goes because of its id."""
        too_much = channel["offset"] > self._retention.count or channel["total"] > self._retention.size
        return bool(too_much) or self._namespace != TASKS

    def _slice(self, front: Timestamp, target: Timestamp) -> Steps["_Slice"]:
        if front >= target:
            return _Slice([], front, more=False)
        found: list[dict[str, Any]] = yield aggregate(ROWS, self._look(front, target))
        seen = sum(channel["rows"] for channel in found)
        mine = [channel for channel in found if channel["_id"] and namespace_of(channel["_id"]) == self._namespace]
        if seen < SLICE:
            return _Slice(mine, target, more=False)
        return _Slice(mine, max(channel["at"] for channel in found), more=True)

    def _look(self, front: Timestamp, target: Timestamp) -> list[Document]:
        slot = f"${self._slot}"
        return [
            {"$match": {"at": {"$gt": front, "$lte": target}}},
            {"$sort": {"at": 1}},
            {"$limit": SLICE},
            {
                "$group": {
                    "_id": f"{slot}.channel",
                    "epoch": {"$last": f"{slot}.epoch"},
                    "offset": {"$last": f"{slot}.offset"},
                    "total": {"$last": {"$ifNull": [f"{slot}.total", 0]}},
                    "at": {"$last": "$at"},
                    "rows": {"$sum": 1},
                }
            },
        ]


@dataclass(frozen=True, slots=True)
class _Slice:
    channels: list[Document]
    end: Timestamp
    more: bool


def _before(seconds: float) -> Timestamp:
    """The last time that is earlier than so many seconds since 1970."""
    return Timestamp(math.ceil(seconds) - 1, _LAST_INC) if seconds > 0 else START
