from contextlib import suppress

import pytest
from celery import states
from hypothesis import given
from hypothesis import strategies as st

from skyhooks.errors import Refused
from skyhooks.publication import READY_STATES, START, Position, TaskMark


@given(
    st.text("0123456789abcdefABCDEF.", min_size=1, max_size=64), st.integers(min_value=0, max_value=999_999_999_999_999)
)
def test_a_position_that_was_handed_out_comes_back(epoch: str, offset: int) -> None:
    position = Position(epoch, offset)
    assert Position.parse(str(position)) == position


def test_zero_is_the_start_of_any_history() -> None:
    assert Position.parse("0") == START
    assert str(START) == "0"


@pytest.mark.parametrize(
    "text",
    [
        *("", "00", "1", "-1", "abc", "abc-", "-5", "abc-x", "abc--1", "abc-1 ", "abc-1\n", " abc-1", "a_b-1", "a-b-1"),
        *("abc-\u0661", "abc-1.0", "abc-" + "1" * 16, "a" * 65 + "-1", "x" * 100_000),
    ],
)
def test_a_position_that_nobody_handed_out_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        Position.parse(text)
    assert (caught.value.code, caught.value.status) == ("bad_position", 400)
    assert len(caught.value.detail) < 300


@given(st.text())
def test_whatever_comes_is_a_position_or_refused(text: str) -> None:
    with suppress(Refused):
        assert str(Position.parse(text)).partition("-")[0] == text.partition("-")[0]


@pytest.mark.parametrize(
    ("state", "end"),
    [
        ("SUCCESS", True),
        ("FAILURE", True),
        ("REVOKED", True),
        ("RETRY", False),
        ("STARTED", False),
        ("PROGRESS", False),
    ],
)
def test_a_task_has_ended_in_a_ready_state(state: str, end: bool) -> None:
    assert TaskMark("run", 0, state).end is end


def test_the_ready_states_are_those_of_celery() -> None:
    assert states.READY_STATES == READY_STATES
