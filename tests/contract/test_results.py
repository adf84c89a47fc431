"""`ResultStore`: Celery's own results."""

from skyhooks.store.base import Store
from tests.contract.clock import Clock


def test_a_result_comes_back_byte_for_byte(store: Store) -> None:
    store.put_result("celery-task-meta-1", b"\x00\xff", None)
    assert store.get_result("celery-task-meta-1") == b"\x00\xff"


def test_there_is_none_under_another_key(store: Store) -> None:
    store.put_result("a", b"1", None)
    assert store.get_result("b") is None


def test_an_empty_value_is_a_value(store: Store) -> None:
    store.put_result("a", b"", 10)
    assert store.get_result("a") == b""


def test_a_newer_value_replaces_the_older_and_its_time(store: Store, clock: Clock) -> None:
    store.put_result("a", b"1", 10)
    store.put_result("a", b"2", None)
    clock.advance(11)
    assert store.get_result("a") == b"2"
    assert store.sweep_results() == 0


def test_a_value_is_gone_when_its_time_has_passed(store: Store, clock: Clock) -> None:
    store.put_result("a", b"1", 10)
    clock.advance(9)
    assert store.get_result("a") == b"1"
    clock.advance(1)
    assert store.get_result("a") is None


def test_a_deleted_value_is_gone(store: Store) -> None:
    store.put_result("a", b"1", None)
    store.delete_result("a")
    store.delete_result("a")
    assert store.get_result("a") is None


def test_sweeping_takes_only_what_has_run_out_and_no_more_than_the_limit(store: Store, clock: Clock) -> None:
    for n in range(5):
        store.put_result(f"old{n}", b"1", 10)
    store.put_result("young", b"1", 20)
    store.put_result("for ever", b"1", None)
    clock.advance(10)
    assert [store.sweep_results(3), store.sweep_results(3), store.sweep_results(3)] == [3, 2, 0]
    assert store.get_result("young") == store.get_result("for ever") == b"1"
