"""`DeadlineStore`: when somebody has to look whether a submitted task has ended."""

import msgspec

from skyhooks.store.base import Deadline, Store
from tests.contract.clock import Clock


def deadline(task_id: str, seconds: float = 10.0, **more: str) -> Deadline:
    return msgspec.convert({"task_id": task_id, "reason": "deadline", "seconds": seconds, **more}, Deadline)


def ids(store: Store, limit: int = 100) -> list[str]:
    return [one.task_id for one in store.overdue(limit)]


def test_a_deadline_is_overdue_from_its_time_on_and_comes_back_whole(store: Store, clock: Clock) -> None:
    added = deadline("t1", 10, account="acme", task="shop.charge")
    store.add_deadlines([added])
    clock.advance(9)
    assert store.overdue() == []
    clock.advance(1)
    assert store.overdue() == [msgspec.structs.replace(added, age=10.0)]


def test_those_that_are_due_longest_come_first_and_no_more_than_the_limit(store: Store, clock: Clock) -> None:
    store.add_deadlines([deadline("late", 30), deadline("early", 10), deadline("between", 20), deadline("never", 90)])
    clock.advance(30)
    assert ids(store) == ["early", "between", "late"]
    assert ids(store, 2) == ["early", "between"]


def test_adding_again_changes_neither_the_time_nor_the_rest(store: Store, clock: Clock) -> None:
    store.add_deadlines([deadline("t1", 10, account="acme")])
    clock.advance(5)
    store.add_deadlines([deadline("t1", 100, account="other")])
    clock.advance(5)
    (found,) = store.overdue()
    assert (found.account, found.seconds, found.age) == ("acme", 10, 10)


def test_a_task_has_one_for_each_reason(store: Store, clock: Clock) -> None:
    both = [deadline("t1", 10), deadline("t1", 5, reason="expired")]
    store.add_deadlines(both)
    clock.advance(10)
    assert [one.reason for one in store.overdue()] == ["expired", "deadline"]
    store.settle_deadlines(both[1:])
    assert [one.reason for one in store.overdue()] == ["deadline"]


def test_what_is_settled_is_not_overdue_again(store: Store, clock: Clock) -> None:
    store.add_deadlines([deadline("t1"), deadline("t2"), deadline("t3")])
    clock.advance(10)
    store.settle_deadlines(store.overdue(2))
    assert ids(store) == ["t3"]
    store.settle_deadlines([deadline("t3"), deadline("t3"), deadline("unknown")])
    assert ids(store) == []


def test_nothing_may_be_added_and_settled(store: Store) -> None:
    store.add_deadlines([])
    store.settle_deadlines([])
    assert store.overdue() == []
