"""The newest rows of channels: read from the server, and remembered for a while."""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

from skyhooks.store.mongo.row import ROWS, Slot, slot_from, slot_of
from skyhooks.store.mongo.steps import Document, Steps, aggregate

FRESH_SECONDS: Final = 60.0
"""How long a remembered row may be built upon. A tasks channel that retention has taken as a whole must not be
continued from memory, and no channel goes sooner than this after its newest row."""

MOST: Final = 10_000


class Tips:
    """Newest rows as this process last knew them; `clock` is steady, in seconds.

    A remembered row may be out of date: then the insert behind it is refused, and it is read again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, tuple[Slot, float]] = {}

    def recent(self, channels: Iterable[str]) -> dict[str, Slot]:
        """Those that are fresh enough to build upon."""
        oldest = self._clock() - FRESH_SECONDS
        known = {channel: self._known.get(channel) for channel in channels}
        return {channel: entry[0] for channel, entry in known.items() if entry and entry[1] >= oldest}

    def keep(self, tips: Iterable[Slot]) -> None:
        """Remember rows that have just been stored. A task that has ended is not asked for again."""
        now = self._clock()
        for tip in tips:
            self._known.pop(tip.channel, None)
            if not tip.ended:
                self._known[tip.channel] = (tip, now)
        while len(self._known) > MOST:
            # Another thread may be at it too.
            with suppress(StopIteration, RuntimeError):
                self._known.pop(next(iter(self._known)), None)

    def drop(self, channels: Iterable[str]) -> None:
        """Forget what may be wrong."""
        for channel in channels:
            self._known.pop(channel, None)


def read_tips(channels: Collection[str]) -> Steps[dict[str, Slot]]:
    """The newest rows of channels; one without history has none."""
    return {slot.channel: slot for slot, _ in (yield from read_newest(channels))}


def read_newest(channels: Collection[str]) -> Steps[list[tuple[Slot, float]]]:
    """The newest rows of channels, each with its time in seconds since 1970."""
    if not channels:
        return []
    found: list[dict[str, Any]] = yield aggregate(ROWS, united(newest(channels)))
    return [(slot_from(row["slot"]), float(row["at"].time)) for row in found]


def newest(channels: Collection[str]) -> list[list[Document]]:
    """Pipelines for the newest rows of channels; each gives documents with `slot` and `at`.

    They sort as the index is sorted, backwards, so that the server takes one key a channel and skips the rest.
    """
    return [
        [
            {"$match": {f"{name}.channel": {"$in": mine}}},
            {"$sort": {f"{name}.channel": -1, f"{name}.offset": -1}},
            {"$group": {"_id": f"${name}.channel", "slot": {"$first": f"${name}"}, "at": {"$first": "$at"}}},
        ]
        for name, mine in by_slot(channels).items()
    ]


def by_slot(channels: Iterable[str]) -> dict[str, list[str]]:
    """Channels by the slot that their rows have."""
    grouped: dict[str, list[str]] = {}
    for channel in channels:
        grouped.setdefault(slot_of(channel), []).append(channel)
    return grouped


def united(pipelines: Sequence[list[Document]]) -> list[Document]:
    """One pipeline for several over the rows, which the server runs one after the other."""
    first, *others = pipelines
    return [*first, *({"$unionWith": {"coll": ROWS, "pipeline": other}} for other in others)]
