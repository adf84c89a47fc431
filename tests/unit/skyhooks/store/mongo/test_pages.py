"""Pages that retention disturbs while they are read."""

from collections.abc import Sequence
from typing import Any

import pytest
from bson import Timestamp

from skyhooks.errors import StoreUnavailable
from skyhooks.store.base import Page
from skyhooks.store.mongo.clock import ServerClock
from skyhooks.store.mongo.core import Core
from skyhooks.store.mongo.row import Slot
from skyhooks.store.mongo.steps import Ask, Talk

ACME = "accounts/acme"
Rows = Sequence[tuple[str, int]]


def row(epoch: str, offset: int, bare: bool = False) -> dict[str, Any]:
    return {"id": f"p{offset}", "data": b"1", "a": Slot(ACME, epoch, offset, bare=bare).document()}


class Reading:
    """A read that is answered with `looks`, one after the other; `tip` is the newest row whenever it is asked for."""

    def __init__(self, *looks: Rows, tip: dict[str, Any] | None = None, after: int = 0, limit: int = 10) -> None:
        self.talk: Talk[Page] = Talk(Core(ServerClock()).read(ACME, after, limit))
        self.looks = 0
        while isinstance(self.talk.step, Ask):
            if self.talk.step.method == "find":
                rows = [row(*one) for one in looks[min(self.looks, len(looks) - 1)]]
                self.looks += 1
                self.talk.answered(rows)
            else:
                self.talk.answered([{"slot": tip["a"], "at": Timestamp(1, 1)}] if tip else [])

    @property
    def offsets(self) -> list[int]:
        return [publication.offset for publication in self.talk.result.publications]


def test_a_row_that_is_missing_between_two_makes_it_read_again() -> None:
    reading = Reading([("e", 1), ("e", 3)], [("e", 3), ("e", 4)])
    assert (reading.looks, reading.offsets) == (2, [3, 4])
    assert reading.talk.result.after == 2


def test_rows_of_two_histories_make_it_read_again() -> None:
    reading = Reading([("e", 1), ("f", 2)], [("f", 1), ("f", 2)])
    assert (reading.looks, reading.offsets, reading.talk.result.epoch) == (2, [1, 2], "f")


def test_a_newest_row_of_another_history_makes_it_read_again() -> None:
    with pytest.raises(StoreUnavailable, match="faster than it can be read"):
        Reading([("e", 1), ("e", 2)], tip=row("f", 5), limit=2)


def test_a_row_that_appears_behind_an_empty_page_makes_it_read_again() -> None:
    reading = Reading([], [("e", 4)], tip=row("e", 4), after=3)
    assert (reading.looks, reading.offsets) == (2, [4])


def test_rows_without_data_are_a_gap_up_to_the_newest() -> None:
    reading = Reading([], tip=row("e", 4, bare=True), after=1)
    assert reading.talk.result == Page("e", 4, 4)


def test_a_channel_that_vanishes_while_it_is_read_is_read_again() -> None:
    with pytest.raises(StoreUnavailable):
        Reading([("e", 1), ("e", 2)], limit=2)
    assert Reading([]).talk.result == Page("", 0, 0)


def test_it_is_not_read_for_ever() -> None:
    with pytest.raises(StoreUnavailable):
        Reading([("e", 1), ("e", 3)])
