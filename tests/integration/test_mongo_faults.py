"""Replies that are lost, late or lies: what the store says and stores when the server does the wrong thing.

The server's own fail points are used, so that everything up to the wire is real.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from skyhooks.channel import Retention
from skyhooks.errors import StoreUnavailable
from skyhooks.publication import Draft, Outcome, TaskMark
from skyhooks.store.base import Hook, JournalEntry, Store
from skyhooks.store.mongo import MongoStore
from tests.mongod import ReplicaSet, empty
from tests.processes import eventually

ACME = "accounts/acme"
Fault = Callable[..., AbstractContextManager[None]]

NOT_REPLICATED = {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}


@pytest.fixture
def store(mongodb: ReplicaSet) -> Iterator[Store]:
    """A store whose driver repeats nothing by itself and is soon tired of waiting."""
    opened = MongoStore(empty(mongodb, "faults") + "&retryWrites=false&socketTimeoutMS=250")
    opened.head(ACME)
    yield opened
    opened.close()


@pytest.fixture
def fault(mongodb: ReplicaSet) -> Fault:
    """`fault("insert", times=1, closeConnection=True)` makes the next insert fail so."""

    @contextmanager
    def failing(command: str, times: int = 1, **data: Any) -> Iterator[None]:
        with mongodb.client() as client:
            data = {"failCommands": [command], **data}
            client.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=data)
            try:
                yield
            finally:
                client.admin.command("configureFailPoint", "failCommand", mode="off")

    return failing


def drafts(*names: str) -> list[Draft]:
    return [Draft(id=name, channels=(ACME,), data=b"1") for name in names]


def ids(store: Store) -> list[str]:
    return [publication.id for publication in store.read(ACME, 0).publications]


def offsets(outcomes: list[Outcome]) -> list[tuple[str, int]]:
    return [(outcome.status, outcome.positions[ACME].offset) for outcome in outcomes]


def test_what_was_stored_without_saying_so_is_found(store: Store, fault: Fault) -> None:
    with fault("insert", **NOT_REPLICATED):
        assert offsets(store.append(drafts("1", "2"))) == [("stored", 1), ("stored", 2)]
    assert ids(store) == ["1", "2"]


def test_what_never_arrived_is_sent_again(store: Store, fault: Fault) -> None:
    with fault("insert", times=3, closeConnection=True):
        assert offsets(store.append(drafts("1", "2"))) == [("stored", 1), ("stored", 2)]
    assert ids(store) == ["1", "2"]


def test_an_insert_that_arrives_after_it_was_given_up_stores_nothing_twice(
    mongodb: ReplicaSet, store: Store, fault: Fault
) -> None:
    with fault("insert", blockConnection=True, blockTimeMS=1500):
        assert offsets(store.append(drafts("1", "2"))) == [("stored", 1), ("stored", 2)]
        assert offsets(store.append(drafts("3"))) == [("stored", 3)]
        with mongodb.client() as client:
            assert inserts_under_way(client) == 1
            eventually(lambda: inserts_under_way(client) == 0, what="the late insert has ended")
    assert ids(store) == ["1", "2", "3"]


def inserts_under_way(client: Any) -> int:
    """How many inserts the server is at."""
    asked = [{"$currentOp": {}}, {"$match": {"command.insert": "rows"}}]
    return len(list(client.admin.aggregate(asked)))


def test_a_duplicate_is_told_from_what_this_call_stored(store: Store, fault: Fault) -> None:
    store.append(drafts("1"))
    with fault("insert", **NOT_REPLICATED):
        assert offsets(store.append(drafts("1", "2"))) == [("duplicate", 1), ("stored", 2)]


def test_a_store_that_stays_away_is_unavailable_and_nothing_is_lost_by_asking_again(
    store: Store, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skyhooks.store.mongo.append.PATIENCE", 0.3)
    with fault("insert", times=1000, errorCode=14031), pytest.raises(StoreUnavailable, match="14031"):
        store.append(drafts("1"))
    assert offsets(store.append(drafts("1"))) == [("stored", 1)]


def test_a_lease_whose_reply_was_lost_is_given_up(store: Store, fault: Fault) -> None:
    assert term(store) == 1
    with fault("findAndModify", **NOT_REPLICATED), pytest.raises(StoreUnavailable):
        store.lease("leader", "me", 10)
    # Nobody else can have had it, but the holder could not know: its old term is over.
    assert [term(store), term(store)] == [2, 2]


def test_taking_a_lease_is_not_repeated_behind_the_callers_back(mongodb: ReplicaSet, fault: Fault) -> None:
    store = MongoStore(empty(mongodb, "faults"))
    assert term(store) == 1
    with fault("findAndModify", closeConnection=True), pytest.raises(StoreUnavailable):
        store.lease("leader", "me", 10)
    store.close()


def term(store: Store) -> int:
    lease = store.lease("leader", "me", 10)
    assert lease is not None
    return lease.term


def test_every_question_is_answered_by_an_index(mongodb: ReplicaSet, store: Store) -> None:
    with mongodb.client() as client:
        use_everything(store)
        client["faults"].command("profile", 2)
        try:
            use_everything(store)
        finally:
            client["faults"].command("profile", 0)
        asked = list(client["faults"]["system.profile"].find({"ns": {"$ne": "faults.system.profile"}}))
        client["faults"].drop_collection("system.profile")
    plans = {(one["ns"], one.get("planSummary", "")) for one in asked}
    assert {plan for ns, plan in plans if ns == "faults.rows" and "DISTINCT_SCAN" in plan}
    assert {(ns, plan) for ns, plan in plans if "COLLSCAN" in plan and ns not in SMALL} == set()


SMALL = ("faults.$cmd.aggregate",)
"""What is no collection: the server's clock is asked there."""


def use_everything(store: Store) -> None:
    mark = store.news(None).mark
    for n in range(3):
        task = TaskMark(f"run{n}", n, "STARTED")
        both = [Draft(id=f"{n}-{i}", channels=(f"tasks/{i}", ACME), data=b"1", task=task) for i in range(20)]
        store.append([*both, *drafts(f"{n}")])
        store.append(both)
    store.append([Draft(id="late", channels=("tasks/1",), data=b"1", task=TaskMark("run0", 2, "STARTED"))])
    store.news(mark)
    store.head(ACME)
    store.read(ACME, 30)
    store.trim("accounts", Retention(count=10))
    store.trim("tasks", Retention(count=1))
    lease = store.lease("nodes/n1", "n1", 10)
    store.leases("nodes/")
    store.add_hook(Hook(id="h1", kind="gateway", keys={"account_id": "acme"}, url="http://n1/", node="n1"))
    store.hooks({"account_id": "acme"}, "gateway")
    store.remove_hook("h1")
    store.release("nodes/n1", "n1", lease.term if lease else 0)
    store.put_result("key", b"1", 10)
    store.get_result("key")
    store.delete_result("key")
    store.sweep_results()
    store.add_journal([JournalEntry(event="stored", node="n1", account="acme")])
    store.journal("acme")
    store.journal()
    store.trim_journal(10)
