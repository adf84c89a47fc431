"""One timer for all connections: a wheel of slots, each a moment, each holding what is due then.

A connection is asked when its moment comes and answers how long it can wait until it is asked again. What happens in
between (a write, a request) only changes what it will answer, so the hot path never touches the wheel; only a
deadline that moves *forward* has to be booked anew. Time is passed in.
"""

import math
from typing import Protocol

import structlog

log = structlog.get_logger()


class Timed(Protocol):
    """Something with deadlines. `turn` belongs to the wheel; it starts as 0."""

    turn: int

    def due(self, now: float) -> float | None:
        """Do what the time demands; answer in how many seconds to be asked again, or None for never."""
        ...


class Wheel:
    """Books `Timed` things; `now` is the time of the latest turn, at most one tick old."""

    __slots__ = ("_slots", "_start", "_tick", "_turn", "now")

    def __init__(self, now: float, tick: float = 0.5, slots: int = 256) -> None:
        self.now = now
        self._start = now
        self._tick = tick
        self._turn = 0
        self._slots: list[set[Timed]] = [set() for _ in range(slots)]

    def book(self, item: Timed, delay: float) -> None:
        """Ask `item` in `delay` seconds, rounded up to a tick; a delay beyond the wheel's reach is asked earlier."""
        self.drop(item)
        steps = min(max(1, math.ceil(delay / self._tick)), len(self._slots) - 1)
        item.turn = self._turn + steps
        self._slots[item.turn % len(self._slots)].add(item)

    def hasten(self, item: Timed, delay: float) -> None:
        """As `book`, unless `item` is asked earlier anyway."""
        if not item.turn or item.turn > self._turn + max(1, math.ceil(delay / self._tick)):
            self.book(item, delay)

    def drop(self, item: Timed) -> None:
        """Forget `item`."""
        if item.turn:
            self._slots[item.turn % len(self._slots)].discard(item)
            item.turn = 0

    def items(self) -> list[Timed]:
        """Everything that is booked."""
        return [item for slot in self._slots for item in slot]

    def advance(self, now: float) -> None:
        """Ask everything that has come due by `now`."""
        self.now = now
        target = int((now - self._start) / self._tick)
        self._turn = max(self._turn, target - len(self._slots))
        while self._turn < target:
            self._turn += 1
            index = self._turn % len(self._slots)
            batch, self._slots[index] = self._slots[index], set()
            for item in batch:
                item.turn = 0
                self._ask(item, now)

    def _ask(self, item: Timed, now: float) -> None:
        try:
            delay = item.due(now)
        except Exception:
            # One connection's fault must not keep the others from their deadlines.
            log.exception("deadline_failed")
            delay = self._tick
        if delay is not None and not item.turn:
            self.book(item, delay)
