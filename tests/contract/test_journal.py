"""`JournalStore`: what happened, for people to look at."""

import msgspec

from skyhooks.store.base import JournalEntry, Store
from tests.contract.clock import Clock


def entry(event: str, account: str = "acme", task_id: str = "t") -> JournalEntry:
    return JournalEntry(event=event, node="n1", account=account, task_id=task_id, data='{"a":1}')


def events(store: Store, account: str | None = None, since: float = 0.0, limit: int = 1000) -> list[str]:
    return [one.event for one in store.journal(account, since, limit)]


def test_an_entry_comes_back_with_the_stores_time(store: Store, clock: Clock) -> None:
    store.add_journal([msgspec.structs.replace(entry("stored"), at=5.0)])
    assert store.journal() == [msgspec.structs.replace(entry("stored"), at=clock.now)]


def test_entries_are_listed_oldest_first_up_to_the_limit(store: Store, clock: Clock) -> None:
    store.add_journal([entry("1"), entry("2")])
    clock.advance(1)
    store.add_journal([entry("3")])
    assert events(store) == ["1", "2", "3"]
    assert events(store, limit=2) == ["1", "2"]


def test_entries_of_one_account_can_be_asked_for(store: Store) -> None:
    store.add_journal([entry("1", "a"), entry("2", "b"), entry("3", "")])
    assert events(store, "b") == ["2"]
    assert events(store, "") == ["3"]


def test_entries_of_one_task_can_be_asked_for(store: Store, clock: Clock) -> None:
    store.add_journal([entry("1", "a", "t1"), entry("2", "a", "t2"), entry("3", "b", "t2"), entry("4", "b", "")])
    clock.advance(10)
    store.add_journal([entry("5", "a", "t2")])
    assert [one.event for one in store.journal(task_id="t2")] == ["2", "3", "5"]
    assert [one.event for one in store.journal("a", task_id="t2")] == ["2", "5"]
    assert [one.event for one in store.journal("a", clock.now, task_id="t2")] == ["5"]
    assert [one.event for one in store.journal(task_id="t2", limit=1)] == ["2"]
    assert [one.event for one in store.journal(task_id="")] == ["4"]
    assert store.journal(task_id="t3") == []


def test_entries_from_a_time_on_can_be_asked_for(store: Store, clock: Clock) -> None:
    store.add_journal([entry("1")])
    clock.advance(10)
    store.add_journal([entry("2")])
    assert events(store, since=clock.now) == ["2"]
    assert events(store, "acme", since=clock.now - 9) == ["2"]


def test_old_entries_are_trimmed(store: Store, clock: Clock) -> None:
    store.add_journal([entry("1"), entry("2")])
    clock.advance(10)
    store.add_journal([entry("3")])
    assert store.trim_journal(5) == 2
    assert events(store) == ["3"]
