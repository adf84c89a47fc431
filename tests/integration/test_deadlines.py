"""A task that nobody ends is ended by the leader, once; nobody waits for ever. Real gateways, workers and brokers."""

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from skyhooks import broker
from skyhooks.client import Client
from skyhooks.store import open_store
from tests.gateways import running
from tests.integration import celery_stage
from tests.integration.celery_stage import Stage, opened
from tests.mongod import ReplicaSet, empty
from tests.processes import Process, eventually

ADD = f"{celery_stage.TASKS}.add"
SLEEPS = f"{celery_stage.TASKS}.sleeps"
WAITS = f"{celery_stage.TASKS}.waits_for"
OPTIONS = (
    *("-X", f"tasks={ADD},{SLEEPS},{WAITS}", "-X", "deadline_pause_seconds=0.1", "-X", "expiry_grace_seconds=0.5"),
    *("-X", "heartbeat_seconds=0.2", "-X", "leader_lease_seconds=1", "-X", "lease_seconds=2"),
)


class Case:
    """A stage, its gateways and a client of them."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.gateways: dict[str, Process] = {}
        self.client: Client
        self.urls: list[str] = []

    def gateway(self, node_id: str, *more: str) -> None:
        process = self.stage.gateway("--broker", self.stage.broker_url, "--node-id", node_id, *OPTIONS, *more)
        self.urls.append(process.wait_for(r"\blistening\b.* url=(\S+)")[1])
        self.gateways[node_id] = process
        self.client = Client(*self.urls)

    def submit(self, task: str, *args: Any, **terms: float) -> str:
        return self.client.submit(task, args, account="acme", **terms).task_id

    def leader(self) -> str:
        """The id of the node that leads."""
        lease = eventually(lambda: self.stage.store.leases("leader"), what="a leader")[0]
        return lease.holder.partition("/")[0]

    def ended(self, task_id: str) -> tuple[str, str]:
        end = self.stage.end(task_id)
        return end["state"], end["error"]["code"]

    def assert_once(self, *task_ids: str) -> None:
        """Each has one end in its own channel, with nothing behind it, and one in the account's."""
        for task_id in task_ids:
            ends = [bool(event.get("end")) for event in self.stage.events(f"tasks/{task_id}")]
            assert ends.count(True) == 1, ends
            assert ends[-1], ends
        assert {task: len(states) for task, states in self.stage.ends("acme").items()} == dict.fromkeys(task_ids, 1)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    with opened(tmp_path) as stage:
        made = Case(stage)
        made.gateway("g0")
        yield made
        for name, process in made.gateways.items():
            print(f"--- {name}\n{process.output}")  # shown when the test has failed


def test_a_task_that_no_worker_takes_fails_at_its_deadline_and_what_it_does_later_is_not_shown(case: Case) -> None:
    task_id = case.submit(ADD, [1, 2], deadline=2)
    assert case.ended(task_id) == ("FAILURE", "deadline")

    worker = case.stage.worker("prefork")
    worker.wait_for(rf"{task_id}.* succeeded")
    after = case.submit(ADD, [3, 4], deadline=60)
    assert case.stage.end(after)["result"] == 7
    case.assert_once(task_id, after)


def test_the_next_leader_ends_what_the_dead_one_has_not(case: Case) -> None:
    case.gateway("g1")
    leader = case.leader()
    submitted = [case.submit(ADD, [1], deadline=seconds) for seconds in (1.5, 1.5, 3)]
    case.gateways[leader].signal(signal.SIGKILL)

    for task_id in submitted:
        assert case.ended(task_id) == ("FAILURE", "deadline")
    assert case.leader() != leader
    case.assert_once(*submitted)


def test_on_mongodb_time_is_the_server_s_and_ends_come_once(tmp_path: Path, mongodb: ReplicaSet) -> None:
    store_url = empty(mongodb, "deadlines")
    options = ["--store", store_url, "--open", "--broker", f"file://{tmp_path / 'broker'}", *OPTIONS]
    with running(*options) as one, running(*options) as other, closing(open_store(store_url)) as store:
        client = Client(one.url)
        late = [client.submit(ADD, [[1]], account="acme", deadline=seconds).task_id for seconds in (0.5, 2)]
        client.submit(ADD, [[1]], account="acme", deadline=3600)
        late.append(client.submit(ADD, [[1]], account="acme", deadline=0, expires=0.5).task_id)
        eventually(lambda: len(store.read("accounts/acme", 0).publications) == 3, what="three ends")
        assert {one.id for one in store.read("accounts/acme", 0).publications} == {f"{task}:end" for task in late}
        eventually(lambda: not store.overdue(), what="all are settled")
        assert not one.problems + other.problems


def test_a_task_that_expired_before_a_worker_was_there_is_ended_by_the_leader(case: Case) -> None:
    task_id = case.submit(ADD, [1], expires=1)
    assert case.ended(task_id) == ("REVOKED", "expired")

    worker = case.stage.worker("prefork")
    worker.wait_for(rf"Discarding revoked task: {ADD}\[{task_id}\]")
    after = case.submit(ADD, [1])
    case.stage.end(after)
    case.assert_once(task_id, after)


@pytest.mark.parametrize("grace", ["1", "3600"])
def test_a_task_that_a_worker_finds_expired_is_ended_once(tmp_path: Path, grace: str) -> None:
    with opened(tmp_path) as stage:
        case = Case(stage)
        case.gateway("g0", "-X", f"expiry_grace_seconds={grace}")
        worker = stage.worker("prefork")
        busy = [case.submit(WAITS, str(tmp_path / "go")) for _ in range(2)]
        eventually(lambda: all(stage.states(one) == ["STARTED"] for one in busy), what="both processes are busy")
        expired = [case.submit(ADD, [number], expires=0.5) for number in range(8)]
        marker = case.submit(ADD, [0], deadline=1.5)
        case.ended(marker)
        # All have expired. With the short grace the leader says so in this moment, like the worker from here on.
        (tmp_path / "go").touch()

        assert {case.ended(one) for one in expired} == {("REVOKED", "expired")}
        for one in busy:
            assert stage.end(one)["result"] == "seen"
        worker.wait_for(rf"Discarding revoked task: {ADD}\[{expired[-1]}\]")
        case.assert_once(marker, *busy, *expired)


@pytest.mark.parametrize("untracked", ["", "yes"])
def test_a_task_that_began_in_time_does_not_expire(tmp_path: Path, untracked: str) -> None:
    with opened(tmp_path, {"SKYHOOKS_CASE_UNTRACKED": untracked}) as stage:
        case = Case(stage)
        case.gateway("g0")
        stage.worker("prefork")
        task_id = case.submit(WAITS, str(tmp_path / "go"), expires=1)
        with closing(sqlite3.connect(tmp_path / "store.db")) as db:
            left = "SELECT count(*) FROM deadline WHERE reason = 'expired'"
            assert db.execute(left).fetchone() == (1,)
            eventually(lambda: db.execute(left).fetchone() == (0,), what="the leader looks whether it has expired")
        (tmp_path / "go").touch()

        assert stage.end(task_id)["result"] == "seen"
        assert stage.states(task_id) == ["STARTED", "SUCCESS"]


def test_a_task_that_was_lost_with_its_worker_fails_at_its_deadline(tmp_path: Path) -> None:
    with opened(tmp_path, {"SKYHOOKS_CASE_EARLY": "yes"}) as stage:
        case = Case(stage)
        case.gateway("g0")
        worker = stage.worker("prefork")
        task_id = case.submit(SLEEPS, 600, deadline=4)
        eventually(lambda: stage.states(task_id) == ["STARTED"], what="it runs")
        worker.close()

        assert case.ended(task_id) == ("FAILURE", "deadline")
        assert stage.recover() == broker.Recovered()
        case.assert_once(task_id)


def test_a_task_that_was_revoked_while_no_worker_had_it_ends_once(case: Case, tmp_path: Path) -> None:
    worker = case.stage.worker("prefork")
    busy = [case.submit(WAITS, str(tmp_path / "go")) for _ in range(2)]
    eventually(lambda: all(case.stage.states(one) == ["STARTED"] for one in busy), what="both processes are busy")
    waiting = [case.submit(ADD, [number]) for number in range(10)]
    case.stage.app.control.revoke(waiting)
    worker.wait_for(rf"Tasks flagged as revoked.*{waiting[-1]}")
    (tmp_path / "go").touch()

    assert {case.ended(one) for one in waiting} == {("REVOKED", "revoked")}
    for one in busy:
        case.stage.end(one)
    case.assert_once(*busy, *waiting)
