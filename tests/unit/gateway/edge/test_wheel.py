import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.edge.wheel import Wheel


class Item:
    """Notes when it is asked, and answers what it is told to."""

    def __init__(self, *answers: float | None) -> None:
        self.turn = 0
        self.asked: list[float] = []
        self.answers = list(answers)

    def due(self, now: float) -> float | None:
        self.asked.append(now)
        return self.answers.pop(0) if self.answers else None


def run(wheel: Wheel, until: int) -> None:
    for second in range(1, until + 1):
        wheel.advance(float(second))


def test_an_item_is_asked_when_it_is_due() -> None:
    wheel, item = Wheel(0.0, tick=1.0, slots=8), Item()
    wheel.book(item, 3.0)
    run(wheel, 10)
    assert item.asked == [3.0]


def test_it_is_asked_again_as_it_answers() -> None:
    wheel, item = Wheel(0.0, tick=1.0, slots=8), Item(2.0, 1.0)
    wheel.book(item, 1.0)
    run(wheel, 10)
    assert item.asked == [1.0, 3.0, 4.0]


def test_a_dropped_item_is_not_asked() -> None:
    wheel, item = Wheel(0.0, tick=1.0, slots=8), Item()
    wheel.book(item, 3.0)
    wheel.drop(item)
    run(wheel, 10)
    assert item.asked == []
    assert wheel.items() == []


@pytest.mark.parametrize(("delay", "asked"), [(2.0, 2.0), (5.0, 4.0)])
def test_a_deadline_is_only_moved_forward(delay: float, asked: float) -> None:
    wheel, item = Wheel(0.0, tick=1.0, slots=8), Item()
    wheel.book(item, 4.0)
    wheel.hasten(item, delay)
    run(wheel, 10)
    assert item.asked == [asked]


def test_a_loop_that_stood_still_asks_everything_once() -> None:
    wheel = Wheel(0.0, tick=1.0, slots=8)
    items = [Item() for _ in range(8)]
    for delay, item in enumerate(items):
        wheel.book(item, float(delay))
    wheel.advance(1000.0)
    assert [item.asked for item in items] == [[1000.0]] * 8


def test_an_item_that_fails_is_logged_and_asked_again_and_harms_nobody() -> None:
    class Broken(Item):
        def due(self, now: float) -> float | None:
            super().due(now)
            raise ZeroDivisionError

    wheel, broken, item = Wheel(0.0, tick=1.0, slots=8), Broken(), Item()
    wheel.book(broken, 1.0)
    wheel.book(item, 1.0)
    with capture_logs() as logs:
        run(wheel, 2)
    assert len(broken.asked) == 2
    assert item.asked == [1.0]
    assert [line["event"] for line in logs] == ["deadline_failed"] * 2


@given(st.lists(st.floats(0.0, 5.0), min_size=1, max_size=30), st.lists(st.floats(0.01, 3.0), max_size=30))
def test_nothing_is_asked_early_or_more_than_a_step_late(delays: list[float], steps: list[float]) -> None:
    wheel = Wheel(0.0, tick=0.5, slots=16)
    items = [(delay, Item()) for delay in delays]
    for delay, item in items:
        wheel.book(item, delay)
    now = 0.0
    for step in [*steps, 6.0]:
        before, now = now, now + step
        wheel.advance(now)
        for delay, item in items:
            if delay + 0.5 <= now and delay + 0.5 > before:
                assert item.asked
    assert all(len(item.asked) == 1 and item.asked[0] >= delay for delay, item in items)
