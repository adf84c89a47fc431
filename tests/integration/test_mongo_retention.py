"""Retention in MongoDB over time: rounds that go on where the last one ended, shared by all who trim."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from skyhooks.channel import Retention
from skyhooks.publication import Draft
from skyhooks.store.base import Store
from skyhooks.store.memory import MemoryStore
from skyhooks.store.mongo import MongoStore
from tests.contract.clock import Clock
from tests.mongod import ReplicaSet, StillTime, empty

CHANNELS = [f"accounts/{n}" for n in range(3)]
LIMITS = Retention(count=8, size=60, age=40.0, dedupe=90.0)
DATABASE = "retention"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stores(mongodb: ReplicaSet, clock: Clock) -> Iterator[list[MongoStore]]:
    """Two stores on one database, as two nodes have them."""
    time, url = StillTime(clock), empty(mongodb, DATABASE)
    opened = [MongoStore(url, time), MongoStore(url, time)]
    yield opened
    for store in opened:
        store.close()


def trim(store: Store, limits: Retention, limit: int) -> tuple[int, int]:
    """Rounds until there is nothing left to do; what they did together."""
    stripped = forgotten = 0
    for namespace in ("accounts", "tasks"):
        while True:
            done = store.trim(namespace, limits, limit)
            stripped, forgotten = stripped + done.stripped, forgotten + done.forgotten
            if done.stripped + done.forgotten < limit:
                break
    return stripped, forgotten


def shown(store: Store, tasks: int) -> list[Any]:
    names = [*CHANNELS, *(f"tasks/{n}" for n in range(tasks))]
    pages = [store.read(name, 0, limit=1000) for name in names]
    return [(page.head, page.after, page.publications) for page in pages]


@pytest.mark.parametrize("size", [7, 5_000])
@pytest.mark.parametrize("seed", range(2))
def test_rounds_over_time_leave_what_the_model_leaves(
    stores: list[MongoStore], clock: Clock, monkeypatch: pytest.MonkeyPatch, seed: int, size: int
) -> None:
    monkeypatch.setattr("skyhooks.store.mongo.rounds.SLICE", size)
    draw = random.Random(seed)
    model = MemoryStore(clock)
    tasks = 0
    for step in range(60):
        channels = [
            (draw.choice(CHANNELS),),
            (f"tasks/{draw.randint(max(tasks - 2, 0), tasks)}", draw.choice(CHANNELS)),
        ]
        drafts = [
            Draft(id=f"{step}-{n}", channels=draw.choice(channels), data=b"x" * draw.randint(0, 20)) for n in range(4)
        ]
        tasks += 1
        assert [o.status for o in model.append(drafts)] == [o.status for o in draw.choice(stores).append(drafts)]
        clock.advance(draw.choice([0, 0, 1, 5, 30]))
        if draw.random() < 0.4:
            assert trim(draw.choice(stores), LIMITS, draw.choice([5, 1000])) == trim(model, LIMITS, 1000)
            assert shown(stores[0], tasks) == shown(model, tasks)
    clock.advance(1000)
    assert trim(stores[1], LIMITS, 1000) == trim(model, LIMITS, 1000)
    assert shown(stores[0], tasks) == shown(model, tasks)
    assert all(page == (0, 0, ()) for page in shown(stores[0], tasks)[len(CHANNELS) :])


def test_a_task_that_comes_back_is_not_continued_from_memory(stores: list[MongoStore], clock: Clock) -> None:
    (before,) = stores[0].append([Draft(id="1", channels=("tasks/1",), data=b"1")])
    clock.advance(1000)
    trim(stores[0], LIMITS, 1000)
    (after,) = stores[0].append([Draft(id="2", channels=("tasks/1",), data=b"1")])
    assert after.positions["tasks/1"].offset == 1
    assert after.positions["tasks/1"].epoch != before.positions["tasks/1"].epoch


def test_a_round_looks_only_at_what_is_new(stores: list[MongoStore], mongodb: ReplicaSet, clock: Clock) -> None:
    for n in range(50):
        stores[0].append([Draft(id=f"{n}-{i}", channels=(f"tasks/{n}-{i}", CHANNELS[0]), data=b"1") for i in range(10)])
        clock.advance(1)
    limits = Retention()
    first = rows_examined(mongodb, lambda: trim(stores[0], limits, 500))
    stores[1].append([Draft(id="new", channels=(CHANNELS[0],), data=b"1")])
    second = rows_examined(mongodb, lambda: trim(stores[1], limits, 500))
    assert first >= 500
    # What was appended in the last seconds is looked at again, because it may have become visible late.
    assert second < 250


def rows_examined(mongodb: ReplicaSet, act: Any) -> int:
    with mongodb.client() as client:
        database = client[DATABASE]
        database.command("profile", 2)
        try:
            act()
        finally:
            database.command("profile", 0)
        seen = sum(one.get("docsExamined", 0) for one in database["system.profile"].find({"ns": f"{DATABASE}.rows"}))
        database.drop_collection("system.profile")
    return seen


def test_nothing_is_left_of_a_publication_that_two_nodes_forget_in_both_its_channels(
    stores: list[MongoStore], mongodb: ReplicaSet, clock: Clock
) -> None:
    stores[0].append([Draft(id=f"{n}", channels=("tasks/1", CHANNELS[0]), data=b"1") for n in range(5)])
    clock.advance(100)
    stores[0].append([Draft(id="new", channels=(CHANNELS[0],), data=b"1")])
    stores[0].trim("tasks", LIMITS)
    stores[1].trim("accounts", LIMITS)
    with mongodb.client() as client:
        assert [row["id"] for row in client[DATABASE]["rows"].find()] == ["new"]
