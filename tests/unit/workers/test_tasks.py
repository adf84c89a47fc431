"""The demo tasks do what they say; the way of their results is tested with real workers."""

from typing import Any

import pytest
from celery.exceptions import Retry

from workers import tasks
from workers.app import make_app


@pytest.fixture(autouse=True)
def states(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The progress that a task tells of, when it is called in this process."""
    make_app({"SKYHOOKS_BROKER": "memory://", "SKYHOOKS_STORE": "memory://"}).set_current()
    told: list[dict[str, Any]] = []
    for task in (tasks.countdown, tasks.primes):
        monkeypatch.setattr(task, "update_state", lambda state, meta: told.append({"state": state, **meta}))
    return told


def test_countdown_tells_every_step(states: list[dict[str, Any]]) -> None:
    assert tasks.countdown(3, 0) == "lift-off"
    assert [told["left"] for told in states] == [3, 2, 1]
    assert {told["total"] for told in states} == {3}


@pytest.mark.parametrize(("limit", "count"), [(0, 0), (2, 0), (3, 1), (100, 25), (10_000, 1229)])
def test_primes_are_counted(limit: int, count: int) -> None:
    assert tasks.primes(limit) == {"limit": limit, "primes": count}


def test_primes_tells_how_far_it_is(states: list[dict[str, Any]]) -> None:
    tasks.primes(1000)

    assert [told["current"] for told in states] == list(range(0, 1000, 50))
    assert [told["found"] for told in states] == sorted(told["found"] for told in states)


def test_fail_fails() -> None:
    with pytest.raises(ValueError, match="on purpose"):
        tasks.fail("on purpose")


def test_flaky_asks_to_be_tried_again_and_then_succeeds() -> None:
    result = tasks.flaky.apply((2, 0))

    assert (result.state, result.result) == ("SUCCESS", "attempt 3 got through")


def test_flaky_gives_up_never_before_it_should() -> None:
    with pytest.raises((Retry, ConnectionError)):
        tasks.flaky(1, 0)


def test_the_steps_of_the_pipeline_fit_together() -> None:
    assert tasks.join(tasks.capitalize(tasks.split("the way of a result"))) == "The Way Of A Result"


def test_squares_add_up() -> None:
    assert tasks.total([tasks.square(number) for number in range(4)]) == 14
    assert tasks.add(1, 2.5) == 3.5
