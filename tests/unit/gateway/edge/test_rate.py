import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.rate import Rates


def test_a_client_that_was_quiet_may_make_a_burst_and_then_one_at_a_time() -> None:
    rates = Rates(2.0, 3, 10)
    assert [rates.take("a", 100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert rates.take("a", 100.0) == 0.5
    assert rates.take("a", 100.4) == pytest.approx(0.1)
    assert rates.take("a", 100.5) == 0.0
    assert rates.take("a", 100.5) == 0.5


def test_what_is_refused_takes_nothing() -> None:
    rates = Rates(1.0, 1, 10)
    rates.take("a", 0.0)
    assert [rates.take("a", 0.5) for _ in range(100)] == [0.5] * 100
    assert rates.take("a", 1.0) == 0.0


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    rates = Rates(1.0, 2, 10)
    rates.take("a", 0.0)
    assert [bool(rates.take("a", 1e6)) for _ in range(3)] == [False, False, True]


def test_clients_do_not_take_from_each_other() -> None:
    rates = Rates(1.0, 1, 10)
    assert (rates.take("a", 0.0), rates.take("b", 0.0)) == (0.0, 0.0)
    assert rates.take("a", 0.0) == 1.0


def test_no_rate_means_no_limit_and_no_memory() -> None:
    rates = Rates(0.0, 1, 10)
    assert [rates.take("a", 0.0) for _ in range(100)] == [0.0] * 100
    assert len(rates) == 0


def test_clients_that_are_quiet_are_forgotten() -> None:
    rates = Rates(1.0, 5, 1000)
    for number in range(100):
        rates.take(f"old {number}", 0.0)
    for number in range(60):
        rates.take("new", 10.0 + number)
    assert len(rates) == 1


def test_memory_is_bounded_and_the_busy_are_kept() -> None:
    rates = Rates(0.001, 2, 10)
    for number in range(1000):
        rates.take(f"{number}", 0.0)
        rates.take("busy", 0.0)
        assert len(rates) <= 10
    assert rates.take("busy", 0.0) > 0


@given(
    st.floats(0.01, 1000),
    st.integers(1, 50),
    st.lists(st.floats(0, 2), min_size=1, max_size=100),
)
def test_in_any_span_a_client_gets_at_most_the_burst_and_what_the_rate_gives(
    per_second: float, burst: int, pauses: list[float]
) -> None:
    rates, now, taken = Rates(per_second, burst, 10), 1000.0, []
    for pause in pauses:
        now += pause
        if not rates.take("a", now):
            taken.append(now)
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + (taken[last] - taken[first]) * per_second * 1.000_01 + 0.000_1
