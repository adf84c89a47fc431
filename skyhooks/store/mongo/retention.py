"""Retention in MongoDB: taking what is to spare, by ascending offset, a bounded number of rows at a time.

Nothing is atomic across rows here. So the order matters: data goes from the oldest row on, rows go from the oldest on,
and whoever continues after a crash finds a shorter channel and nothing else.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, takewhile
from typing import Any, Final, TypeAlias

from pymongo import DeleteOne, UpdateOne

from skyhooks.channel import Retention
from skyhooks.store.base import Trimmed
from skyhooks.store.mongo.clock import seconds_now
from skyhooks.store.mongo.facet import Facet
from skyhooks.store.mongo.rounds import Rounds
from skyhooks.store.mongo.row import ROWS, SLOTS, Slot, slot_from, slot_of
from skyhooks.store.mongo.steps import Document, Steps, call, find, find_one
from skyhooks.store.mongo.tips import read_newest
from skyhooks.store.retention import spare_channel, spare_data, spare_id

_Entry: TypeAlias = tuple[Slot, Document]

_OTHER: Final = dict(zip(SLOTS, reversed(SLOTS), strict=True))


class Retainer(Facet):
    """The trimming of a `LogStore`."""

    def trim(self, namespace: str, retention: Retention, limit: int = 1000) -> Steps[Trimmed]:
        """See `LogStore.trim`."""
        now = yield from seconds_now(self._clock)
        rounds = Rounds(namespace, retention)
        fronts, targets = (yield from rounds.load()), (yield from rounds.targets(now))
        done = Trimmed()
        while True:
            candidates = yield from rounds.candidates(fronts, targets)
            newest = {tip.channel: (tip, at) for tip, at in (yield from read_newest(candidates.channels))}
            channels = [
                _Channel(*newest[name], namespace, retention, now) for name in candidates.channels if name in newest
            ]
            self._tips.drop(newest)
            done = yield from _trim_all(channels, done, limit)
            if done.stripped + done.forgotten >= limit:
                return done
            yield from rounds.save(fronts := candidates.fronts)
            if not candidates.more:
                return done


def _trim_all(channels: Sequence["_Channel"], done: Trimmed, limit: int) -> Steps[Trimmed]:
    """Trim channels in their order, up to the limit; those that go as a whole are taken together as far as they fit."""
    start = 0
    while start < len(channels) and (left := limit - done.stripped - done.forgotten) > 0:
        room = accumulate((2 * channel.tip.offset for channel in channels[start:]), initial=0)
        fitting = sum(1 for _ in takewhile(lambda rows: rows <= left, room)) - 1
        whole = list(takewhile(lambda channel: channel.gone, channels[start : start + fitting]))
        more = yield from (_take_whole(whole) if whole else channels[start].trim(left))
        done = Trimmed(done.stripped + more.stripped, done.forgotten + more.forgotten)
        start += max(len(whole), 1)
    return done


def _take_whole(channels: Sequence["_Channel"]) -> Steps[Trimmed]:
    """Take all rows of channels that go as a whole."""
    slot = slot_of(channels[0].tip.channel)
    last = {channel.tip.channel: channel.tip.offset for channel in channels}
    query = {f"{slot}.channel": {"$in": list(last)}}
    found: list[dict[str, Any]] = yield find(
        ROWS, query, projection=list(SLOTS), sort=[(f"{slot}.channel", 1), (f"{slot}.offset", 1)]
    )
    places = [(slot_from(row[slot]), row) for row in found]
    # A channel that has just grown keeps its new rows.
    rows = [(place, row) for place, row in places if place.offset <= last[place.channel]]
    yield from _forget(slot, rows)
    return Trimmed(sum(not place.bare for place, _ in rows), len(rows))


class _Channel:
    """One channel in one round: `tip` is its newest row, stored `at` seconds since 1970."""

    def __init__(self, tip: Slot, at: float, namespace: str, retention: Retention, now: float) -> None:
        self.tip = tip
        self._namespace = namespace
        self._retention = retention
        self._now = now
        self._slot = slot_of(tip.channel)
        self.gone = spare_channel(retention, namespace, newest=at, now=now)

    def trim(self, limit: int) -> Steps[Trimmed]:
        """Take what is to spare, at most so many rows."""
        stripped = yield from self._strip(limit)
        forgotten = yield from self._forget(limit - stripped)
        return Trimmed(stripped, forgotten)

    def _strip(self, limit: int) -> Steps[int]:
        """Take the data of the oldest rows that have any; how many."""
        floor = yield from self._floor()
        spared = yield from self._spared(floor, limit, self._spare_data)
        if spared:
            last, _ = spared[-1]
            upto = {"$gt": floor, "$lte": last.offset}
            yield call(
                ROWS,
                "update_many",
                {f"{self._slot}.channel": self.tip.channel, f"{self._slot}.offset": upto},
                _strip(self._slot),
                hint=f"{self._slot}_offset",
            )
        return len(spared)

    def _forget(self, limit: int) -> Steps[int]:
        """Take the oldest rows that have no data; how many."""
        spared = yield from self._spared(0, limit, self._spare_id)
        yield from _forget(self._slot, spared)
        return len(spared)

    def _spared(self, after: int, limit: int, spare: Callable[[_Entry], bool]) -> Steps[list[_Entry]]:
        """The rows after an offset that may be spared. Most often the first has to stay, so it is asked for alone."""
        first = yield from self._rows(after, min(limit, 1))
        if not first or not spare(first[0]):
            return []
        return list(takewhile(spare, (yield from self._rows(after, limit))))

    def _floor(self) -> Steps[int]:
        """The offset of the newest row without data: rows without are the oldest, so halving finds it."""
        first = yield from self._rows(0, 1)
        if not first or not first[0][0].bare:
            return first[0][0].offset - 1 if first else self.tip.offset
        bare, full = first[0][0].offset, self.tip.offset + 1
        while full - bare > 1:
            middle = (bare + full) // 2
            query = {f"{self._slot}.channel": self.tip.channel, f"{self._slot}.offset": middle}
            row: Document | None = yield find_one(ROWS, query, projection=[f"{self._slot}.bare"])
            if row is None or "bare" in row[self._slot]:
                bare = middle
            else:
                full = middle
        return bare

    def _rows(self, after: int, limit: int) -> Steps[list[_Entry]]:
        """Rows of this channel up to its tip as it was found, without their data."""
        if limit <= 0:
            return []
        found: list[dict[str, Any]] = yield find(
            ROWS,
            {
                f"{self._slot}.channel": self.tip.channel,
                f"{self._slot}.offset": {"$gt": after, "$lte": self.tip.offset},
            },
            projection={"at": 1, "t": 1, "a": 1, "size": {"$binarySize": {"$ifNull": ["$data", ""]}}},
            sort=[(f"{self._slot}.offset", 1)],
            limit=limit,
        )
        return [(slot_from(row[self._slot]), row) for row in found]

    def _spare_data(self, entry: _Entry) -> bool:
        slot, row = entry
        kept = self.tip.total - slot.total + row["size"]
        at = float(row["at"].time)
        return self.gone or spare_data(
            self._retention, offset=slot.offset, head=self.tip.offset, kept=kept, at=at, now=self._now
        )

    def _spare_id(self, entry: _Entry) -> bool:
        slot, row = entry
        at = float(row["at"].time)
        return slot.bare and (
            self.gone
            or spare_id(
                self._retention, self._namespace, offset=slot.offset, head=self.tip.offset, at=at, now=self._now
            )
        )


def _strip(slot: str) -> list[Document]:
    """Marks a slot as bare, and takes the data unless the other slot still needs it."""
    other = _OTHER[slot]
    needed = {"$and": [{"$ne": [{"$type": f"${other}"}, "missing"]}, {"$ne": [f"${other}.bare", True]}]}
    return [{"$set": {f"{slot}.bare": True, "data": {"$cond": [needed, "$data", "$$REMOVE"]}}}]


def _forget(slot: str, entries: Sequence[_Entry]) -> Steps[None]:
    """Take rows out of a slot's channels, in this order. A document goes with its last slot, whichever that is."""
    changes: list[Any] = []
    shared = []
    for _, row in entries:
        if _OTHER[slot] in row:
            changes.append(UpdateOne({"_id": row["_id"]}, [*_strip(slot), {"$unset": slot}]))
            shared.append(row["_id"])
        else:
            changes.append(DeleteOne({"_id": row["_id"]}))
    if changes:
        yield call(ROWS, "bulk_write", changes, ordered=True)
    if shared:
        nowhere = {f"{name}.channel": {"$exists": False} for name in SLOTS}
        yield call(ROWS, "delete_many", {"_id": {"$in": shared}, **nowhere})
