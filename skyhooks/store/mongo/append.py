"""Appending: insert behind the newest rows, and after any error find out what is stored.

::

    plan   from newest rows, which may be remembered ones
    insert in one ordered batch; stored: done
    error  look up every id at majority (found: stored), read the newest rows, plan what is left, insert again

A row of this call is told from one of another by its key, so a lost reply never turns ``stored`` into ``duplicate``.
Which unique key refused a row is not asked: the look-up tells.
"""

import random
from collections.abc import Iterable, Sequence
from typing import Any, Final

from bson import ObjectId
from pymongo.errors import PyMongoError

from skyhooks.backoff import Backoff
from skyhooks.errors import StoreUnavailable
from skyhooks.publication import Draft, Outcome
from skyhooks.store.mongo.facet import Facet
from skyhooks.store.mongo.failure import is_collision, mongo_failure
from skyhooks.store.mongo.plan import Item, Knowledge, Place, make_plan
from skyhooks.store.mongo.row import ROWS, SLOTS, Slot, slot_from
from skyhooks.store.mongo.steps import Document, Pause, Steps, aggregate, call, find_one
from skyhooks.store.mongo.tips import by_slot, newest, read_tips, united

PATIENCE: Final = 15.0
"""Seconds after which a call that meets errors gives up; the caller may repeat it."""

_AFTER_COLLISION: Final = Backoff(first=0.0005, most=0.002)
"""Short: somebody has won each collision, and who waits longer than a commit takes would never be next."""

_AFTER_ERROR: Final = Backoff(first=0.02, most=1.0)


class Appends(Facet):
    """The appending of a `LogStore`."""

    def append(self, drafts: Sequence[Draft]) -> Steps[list[Outcome]]:
        """See `LogStore.append`."""
        items = [Item(draft, ObjectId()) for draft in drafts]
        channels = list(dict.fromkeys(channel for draft in drafts for channel in draft.channels))
        knowledge = Knowledge()
        deadline = self._steady() + PATIENCE
        attempt = 0
        tips = yield from self._recall(channels)
        while True:
            plan = make_plan(items, tips, knowledge, self._clock.stamp)
            if plan.doubtful:
                tips = yield from _settle(items, channels, knowledge)
            elif plan.questions:
                yield from _ask_runs(plan.questions, knowledge)
            elif not plan.rows or (error := (yield from _insert(plan.rows))) is None:
                self._tips.keep(tip for tip in plan.tips.values() if tip.channel in channels)
                return plan.outcomes
            else:
                self._tips.drop(channels)
                self._bear(error, deadline)
                pauses = _AFTER_COLLISION if is_collision(error) else _AFTER_ERROR
                yield Pause(pauses.delay(attempt, random.random))
                attempt += 1
                tips = yield from _settle(items, channels, knowledge)

    def _recall(self, channels: Sequence[str]) -> Steps[dict[str, Slot]]:
        known = self._tips.recent(channels)
        return known | (yield from read_tips([channel for channel in channels if channel not in known]))

    def _bear(self, error: PyMongoError, deadline: float) -> None:
        """Raise an error that time will not heal, and any once the time is over."""
        lasting = not is_collision(error) and not isinstance(mongo_failure("", error), StoreUnavailable)
        if lasting or self._steady() > deadline:
            raise error


def _insert(rows: Sequence[Document]) -> Steps[PyMongoError | None]:
    try:
        # Ordered: what follows a row that was refused must not be stored, it would leave a hole.
        yield call(ROWS, "insert_many", rows, ordered=True)
    except PyMongoError as error:
        return error
    return None


def _settle(items: Sequence[Item], channels: Sequence[str], knowledge: Knowledge) -> Steps[dict[str, Slot]]:
    """Read the newest rows, and after them every id: so a refusal that the rows call for is never a duplicate.

    It is one question, because until the insert that follows somebody else may be quicker.
    """
    ids = list({item.draft.id for item in items})
    known: list[list[Document]] = [
        [
            {"$match": {"id": {"$in": ids}, f"{name}.channel": {"$in": mine}}},
            {"$project": {"id": 1, "place": [f"${slot}" for slot in SLOTS]}},
        ]
        for name, mine in by_slot(channels).items()
    ]
    found: list[dict[str, Any]] = yield aggregate(ROWS, united([*newest(channels), *known]))
    for row in found:
        for place in filter(None, row.get("place", ())):
            slot = slot_from(place)
            knowledge.places[slot.channel, row["id"]] = Place(slot.position, row["_id"])
    # What had not been seen may have come since.
    knowledge.runs = {question: True for question, seen in knowledge.runs.items() if seen}
    knowledge.certain = True
    tips = [slot_from(row["slot"]) for row in found if "slot" in row]
    return {tip.channel: tip for tip in tips}


def _ask_runs(questions: Iterable[tuple[str, str]], knowledge: Knowledge) -> Steps[None]:
    for channel, run in questions:
        # A tasks channel forgets no row by itself, so the history in its rows tells of every run.
        seen = yield find_one(ROWS, {"t.channel": channel, "t.run": run}, projection=["_id"])
        knowledge.runs[channel, run] = seen is not None
