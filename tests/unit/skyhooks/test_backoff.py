import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyhooks.backoff import Backoff

FRACTIONS = st.floats(min_value=0, max_value=1, exclude_max=True)


def test_the_longest_delay_doubles_up_to_the_most() -> None:
    backoff = Backoff(first=0.5, most=6.0)
    assert [backoff.delay(attempt, lambda: 1.0) for attempt in range(6)] == [0.5, 1.0, 2.0, 4.0, 6.0, 6.0]


@pytest.mark.parametrize(("fraction", "delay"), [(0.0, 1.0), (0.5, 1.5), (1.0, 2.0)])
def test_a_delay_is_drawn_from_the_upper_half(fraction: float, delay: float) -> None:
    assert Backoff(first=1.0, most=60.0).delay(1, lambda: fraction) == delay


@given(st.integers(min_value=0, max_value=10**9), FRACTIONS)
def test_a_delay_is_bounded_however_often_it_failed(attempt: int, fraction: float) -> None:
    backoff = Backoff()
    assert backoff.first / 2 <= backoff.delay(attempt, lambda: fraction) <= backoff.most


def test_callers_that_failed_together_come_back_apart() -> None:
    fractions = iter([0.1, 0.9])
    backoff = Backoff()
    assert backoff.delay(3, lambda: next(fractions)) != backoff.delay(3, lambda: next(fractions))
