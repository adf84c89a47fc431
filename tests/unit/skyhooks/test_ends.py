"""Whether a task has ended is read off the log."""

from skyhooks.channel import task_channel
from skyhooks.ends import has_ended
from skyhooks.publication import Draft, TaskMark
from skyhooks.store.memory import MemoryStore


def publish(store: MemoryStore, name: str, state: str) -> None:
    store.append([Draft(id=name, channels=(task_channel("t"),), data=b"1", task=TaskMark("run", 0, state))])


def test_a_task_has_ended_once_its_end_is_there() -> None:
    store = MemoryStore()
    assert not has_ended(store, "t")
    publish(store, "t:run:1", "STARTED")
    assert not has_ended(store, "t")
    publish(store, "t:end", "SUCCESS")
    assert has_ended(store, "t")


def test_an_id_without_a_channel_never_has() -> None:
    assert not has_ended(MemoryStore(), "not/a\nname")
