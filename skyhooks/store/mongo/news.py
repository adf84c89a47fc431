"""Hearing of what others have appended: one query for everything that is new, however many channels there are.

Rows become visible in the order of their commits, which is nearly, but not exactly, that of their times. So each look
begins `OVERLAP` seconds before the newest time that the last one saw, and leaves out what that one has told already.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from bson import Timestamp

from skyhooks.publication import Position
from skyhooks.store.base import News
from skyhooks.store.mongo.clock import Clock
from skyhooks.store.mongo.facet import Facet
from skyhooks.store.mongo.row import ROWS
from skyhooks.store.mongo.steps import Document, Steps, aggregate, find_one

OVERLAP: Final = 2
MARKS: Final = 8
"""How many marks are remembered with what was told. An older one still works, but tells some channels again."""

_SERIAL_BITS: Final = 20


@dataclass(frozen=True, slots=True)
class _Heard:
    """`told` are the newest positions within the overlap before `at`."""

    at: Timestamp
    told: dict[str, Position]


class NewsDesk(Facet):
    """The news of a `LogStore`. A mark is a time and a serial number, by which the desk knows what it has told."""

    def __init__(self, clock: Clock, steady: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock, steady)
        self._heard: dict[int, _Heard] = {}
        self._serial = 0

    def news(self, mark: int | None) -> Steps[News]:
        """See `LogStore.news`."""
        if mark is None:
            newest: Document | None = yield find_one(ROWS, {}, projection=["at"], sort=[("at", -1)])
            at = newest["at"] if newest else Timestamp(0, 0)
            heads = yield from _grown_since(_before(at))
            return News(self._remember(at, heads))
        known = self._heard.get(mark)
        at, told = (known.at, known.told) if known else (_time_of(mark), {})
        heads = yield from _grown_since(_before(at))
        fresh = {name: head for name, (head, _) in heads.items() if _is_news(head, told.get(name))}
        if known and not fresh:
            self._put(mark, known)
            return News(mark)
        return News(self._remember(max([at, *(seen for _, seen in heads.values())]), heads), fresh)

    def _remember(self, at: Timestamp, heads: dict[str, tuple[Position, Timestamp]]) -> int:
        oldest = _before(at)
        told = {name: head for name, (head, seen) in heads.items() if seen > oldest}
        self._serial = (self._serial + 1) % (1 << _SERIAL_BITS)
        mark = ((at.time << 32 | at.inc) << _SERIAL_BITS) | self._serial
        self._put(mark, _Heard(at, told))
        return mark

    def _put(self, mark: int, heard: _Heard) -> None:
        self._heard.pop(mark, None)
        self._heard[mark] = heard
        for old in list(self._heard)[:-MARKS]:
            self._heard.pop(old, None)


def _time_of(mark: int) -> Timestamp:
    at = mark >> _SERIAL_BITS
    return Timestamp(at >> 32, at & 0xFFFFFFFF)


def _before(at: Timestamp) -> Timestamp:
    return Timestamp(max(at.time - OVERLAP, 0), at.inc)


def _is_news(head: Position, told: Position | None) -> bool:
    return told is None or head.epoch != told.epoch or head.offset > told.offset


def _grown_since(at: Timestamp) -> Steps[dict[str, tuple[Position, Timestamp]]]:
    """The newest row of each channel that has rows after `at`, with its time."""
    pipeline: list[Document] = [
        {"$match": {"at": {"$gt": at}}},
        {"$sort": {"at": 1}},
        {"$project": {"at": 1, "slot": ["$t", "$a"]}},
        {"$unwind": "$slot"},
        {"$match": {"slot.channel": {"$exists": True}}},
        {
            "$group": {
                "_id": "$slot.channel",
                "epoch": {"$last": "$slot.epoch"},
                "offset": {"$last": "$slot.offset"},
                "at": {"$last": "$at"},
            }
        },
    ]
    found: list[dict[str, Any]] = yield aggregate(ROWS, pipeline)
    return {row["_id"]: (Position(row["epoch"], row["offset"]), row["at"]) for row in found}
