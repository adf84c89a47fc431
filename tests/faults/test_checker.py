"""The checker on histories made by hand: it brings each charge where it is due, and none where it is not."""

from typing import Any

import pytest

from tests.faults.checker import Verdict, check
from tests.faults.history import Fact

CHANNEL = "accounts/a"


class Story:
    """A history; each fact comes a second after the one before."""

    def __init__(self, *subscribers: str) -> None:
        self.facts: list[Fact] = []
        for name in subscribers:
            self.add("joined", subscriber=name, channel=CHANNEL)

    def add(self, fact: str, **fields: Any) -> "Story":
        self.facts.append({"at": float(len(self.facts)), "fact": fact, **fields})
        return self

    def send(self, name: str, by: str = "s") -> "Story":
        return self.add("sent", id=name, channel=CHANNEL, by=by)

    def ack(self, name: str) -> "Story":
        return self.add("acked", id=name)

    def see(self, subscriber: str, name: str, position: str) -> "Story":
        return self.add("seen", subscriber=subscriber, channel=CHANNEL, id=name, position=position)

    def number(self, subscriber: str, number: int, position: str) -> "Story":
        return self.add("seen", subscriber=subscriber, channel="numbers", number=number, position=position)

    def end(self) -> Verdict:
        return check(self.add("end").facts)


def sound() -> Story:
    """Two things, seen by two subscribers."""
    story = Story("x", "y").send("1").ack("1").send("2").ack("2")
    for who in "xy":
        story.see(who, "1", "p1").see(who, "2", "p2")
    return story


def charged(verdict: Verdict) -> set[str]:
    assert not verdict.clean
    return {kind for kind, found in verdict.charges.items() if found}


def test_a_sound_run_is_clean() -> None:
    verdict = sound().end()
    assert verdict.clean
    assert (verdict.sent, verdict.acked, verdict.seen, verdict.subscribers) == (2, 2, 4, 2)


def test_a_run_that_did_not_end_or_had_nothing_in_it_is_not_clean() -> None:
    assert not check(sound().facts).clean
    assert not Story("x").end().clean


def test_what_was_acknowledged_and_not_shown_to_one_is_lost() -> None:
    assert charged(sound().send("3").ack("3").see("x", "3", "p3").end()) == {"lost"}


def test_what_was_not_acknowledged_may_be_missing_or_there() -> None:
    assert sound().send("3").end().clean
    assert sound().send("3").see("x", "3", "p3").see("y", "3", "p3").end().clean


def test_whoever_left_need_not_have_seen_the_rest() -> None:
    assert sound().add("left", subscriber="y").send("3").ack("3").see("x", "3", "p3").end().clean


def test_what_is_shown_twice_is_doubled() -> None:
    assert charged(sound().see("x", "2", "p2").end()) == {"doubled"}


def test_what_stands_twice_in_the_log_is_doubled() -> None:
    assert "doubled" in charged(sound().see("x", "2", "p3").end())


def test_two_orders_are_a_disorder() -> None:
    story = Story("x", "y").send("1", "a").send("2", "b").ack("1").ack("2")
    story.see("x", "1", "p1").see("x", "2", "p2").see("y", "2", "p2").see("y", "1", "p1")
    assert charged(story.end()) == {"reordered"}


def test_what_a_sender_sent_after_an_answer_stands_after_it() -> None:
    story = Story("x").send("1").ack("1").send("2").ack("2").see("x", "2", "p1").see("x", "1", "p2")
    assert charged(story.end()) == {"reordered"}
    story = Story("x").send("1").send("2").ack("1").ack("2").see("x", "2", "p1").see("x", "1", "p2")
    assert story.end().clean, "they were under way at the same time"


def test_a_gap_is_unexplained() -> None:
    assert charged(sound().add("gap", subscriber="x", start="p0", end="p1").end()) == {"unexplained"}


def test_what_nobody_sent_is_unexplained() -> None:
    assert charged(sound().see("x", "9", "p9").see("y", "9", "p9").end()) == {"unexplained"}


def test_a_position_that_is_used_again_is_unexplained() -> None:
    story = sound().send("3").ack("3").see("x", "3", "p2").see("y", "3", "p2")
    assert charged(story.end()) == {"unexplained"}


@pytest.mark.parametrize(
    ("numbers", "charge"),
    [([1, 2, 4], "lost"), ([1, 2, 2], "doubled"), ([1, 2, 1, 2], "doubled"), ([5, 6, 7], "")],
)
def test_a_feed_counts_by_one(numbers: list[int], charge: str) -> None:
    story = sound().add("joined", subscriber="n", channel="numbers")
    for index, number in enumerate(numbers):
        story.number("n", number, f"q{index}")
    verdict = story.end()
    assert verdict.clean if not charge else charged(verdict) == {charge}


def test_a_feed_that_was_restarted_may_count_anew_once() -> None:
    story = sound().add("joined", subscriber="n", channel="numbers").add("restarted", channel="numbers")
    for index, number in enumerate([7, 8, 1, 2]):
        story.number("n", number, f"q{index}")
    assert story.end().clean
    assert charged(story.number("n", 1, "q9").end()) == {"doubled"}


def test_recovery_is_the_time_until_what_came_after_the_fault_was_shown() -> None:
    story = sound().add("fault", kind="kill", part="g").send("3").ack("3").see("x", "3", "p3").see("y", "3", "p3")
    verdict = story.end()
    assert verdict.clean
    assert verdict.recovery == {"kill": [3.0]}
    assert verdict.faults == {"kill": 1}
