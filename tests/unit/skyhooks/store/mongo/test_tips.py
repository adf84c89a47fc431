"""Newest rows that are remembered."""

from skyhooks.store.mongo.row import Slot
from skyhooks.store.mongo.tips import FRESH_SECONDS, MOST, Tips, by_slot


class Steady:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def slot(channel: str, offset: int = 1, ended: bool = False) -> Slot:
    return Slot(channel, "e", offset, ended=ended)


def test_a_row_is_built_upon_for_a_while_only() -> None:
    steady = Steady()
    tips = Tips(steady)
    tips.keep([slot("accounts/a")])
    steady.now += FRESH_SECONDS
    assert tips.recent(["accounts/a", "accounts/b"]) == {"accounts/a": slot("accounts/a")}
    steady.now += 0.1
    assert tips.recent(["accounts/a"]) == {}


def test_a_newer_row_takes_the_place_of_the_older() -> None:
    tips = Tips(Steady())
    tips.keep([slot("accounts/a", 1)])
    tips.keep([slot("accounts/a", 2)])
    assert tips.recent(["accounts/a"])["accounts/a"].offset == 2


def test_what_may_be_wrong_is_forgotten() -> None:
    tips = Tips(Steady())
    tips.keep([slot("accounts/a"), slot("accounts/b")])
    tips.drop(["accounts/a", "accounts/c"])
    assert list(tips.recent(["accounts/a", "accounts/b"])) == ["accounts/b"]


def test_a_task_that_has_ended_is_not_remembered() -> None:
    tips = Tips(Steady())
    tips.keep([slot("tasks/1")])
    tips.keep([slot("tasks/1", 2, ended=True)])
    assert tips.recent(["tasks/1"]) == {}


def test_the_number_of_channels_is_bounded() -> None:
    tips = Tips(Steady())
    tips.keep(slot(f"accounts/{n}") for n in range(MOST + 2))
    known = tips.recent(f"accounts/{n}" for n in range(MOST + 2))
    assert len(known) == MOST
    assert "accounts/1" not in known


def test_channels_are_asked_for_by_their_slot() -> None:
    assert by_slot(["accounts/a", "tasks/1", "numbers"]) == {"a": ["accounts/a", "numbers"], "t": ["tasks/1"]}
