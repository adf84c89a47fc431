"""Gateways, store or broker go away under load: every task ends once, and nothing waits for what it does not need.

``OUTAGE_SECONDS=60`` makes each outage a minute long, and runs the whole table.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.outages import Load, World, world
from tests.mongod import ReplicaSet, replica_set
from tests.processes import eventually
from tests.servers.rabbitmq import RabbitMQ, rabbitmq
from tests.servers.redis import redis

SECONDS = float(os.environ.get("OUTAGE_SECONDS", "2"))
POOLS = ("gevent", "prefork", "threads", "solo")
OUTAGES = ("gateways", "store", "both", "broker")
LONG = "OUTAGE_SECONDS" in os.environ
TABLE = [(pool, what) for pool in POOLS for what in OUTAGES if LONG or what == "both"]
"""Every pool with every outage, where time has been given; else with the one that takes most away."""
ON_REDIS = [
    (pool, what) for pool in POOLS[:2] for what in ("both", "broker") if LONG or (pool, what) == ("prefork", "broker")
]

pytestmark = pytest.mark.timeout(120 + 5 * SECONDS)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    """A MongoDB that is not the one of other tests."""
    with replica_set(tmp_path_factory.mktemp("mongod")) as running:
        yield running
        for process in running.members.values():  # those that came after the first ones
            process.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A RabbitMQ that is not the one of other tests."""
    with rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as running:
        yield running


@pytest.fixture(scope="module")
def there(
    request: pytest.FixtureRequest, store: ReplicaSet, node: RabbitMQ, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A pool on RabbitMQ."""
    with world(tmp_path_factory.mktemp(request.param), store, node, request.param, SECONDS / 2) as made:
        yield made


@pytest.fixture(scope="module")
def on_redis(
    request: pytest.FixtureRequest, store: ReplicaSet, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A pool on a Redis that has its data again after a restart."""
    folder = tmp_path_factory.mktemp(request.param)
    with redis(folder / "redis", keep=True) as server, world(folder, store, server, request.param, SECONDS / 2) as made:
        yield made


@pytest.mark.parametrize(("there", "what"), TABLE, indirect=["there"], scope="module")
def test_every_task_ends_once(there: World, what: str) -> None:
    every_task_ends_once(there, what)


@pytest.mark.parametrize(("on_redis", "what"), ON_REDIS, indirect=["on_redis"], scope="module")
def test_every_task_ends_once_on_redis(on_redis: World, what: str) -> None:
    """Whether it is gateways or store that are missing does not depend on the broker."""
    every_task_ends_once(on_redis, what)


def every_task_ends_once(there: World, what: str) -> None:
    load = Load(there.stage)
    try:
        eventually(load.ends, what="the first ends")
        with there.without(what):
            time.sleep(SECONDS)
        ended = len(load.ends())
        eventually(lambda: len(load.ends()) > ended, 60 + SECONDS, "tasks end again")
    finally:
        load.stop()
        print("\n".join(there.worker.lines[-60:]))  # shown when the test has failed
    began = time.monotonic()
    eventually(lambda: load.ends().keys() >= set(load.taken), 60 + 2 * SECONDS, "every task has ended")

    ends = load.ends()
    behind = time.monotonic() - began
    print(f"{there.pool}, {what}: {len(load.taken)} taken, {len(load.unknown)} unknown, {behind:.1f} s behind")
    assert ends.keys() <= {*load.taken, *load.unknown}
    for task_id, states in ends.items():
        assert states == ["FAILURE" if int(task_id.rpartition("-")[2]) % 5 == 0 else "SUCCESS"], task_id
    assert "Traceback" not in "\n".join(line for line in there.worker.lines if "skyhooks" in line)


@pytest.mark.parametrize("there", POOLS[:3], indirect=True, scope="module")
@pytest.mark.parametrize("what", ["both", "answers"])
def test_nothing_else_waits_for_a_result_that_cannot_be_delivered(there: World, what: str, tmp_path: Path) -> None:
    """Solo has one place, and the task in it waits."""
    pool = there.pool
    stage = there.stage
    notes = tmp_path / "notes"
    stage.end(stage.send("ok", account="a").id)
    with there.without(what):
        waiting = [stage.send("ok", number, account="waiting") for number in range(3)]
        submitted = time.time()
        limited = stage.send("sleeps", 60, account="waiting", time_limit=2) if pool != "threads" else None
        killed = stage.send("killed", account="waiting") if pool == "prefork" else None
        for _ in range(10):
            assert stage.app.control.ping(timeout=5, limit=1), "the main process answers"
            stage.call("notes", str(notes))
            time.sleep(0.3)
        try:
            eventually(lambda: notes.exists() and len(notes.read_text().splitlines()) == 10, 15, "all notes are taken")
        finally:
            print("\n".join(there.worker.lines[-100:]))  # shown when the test has failed

    for result in (*waiting, limited, killed):
        if result is not None:
            stage.end(result.id, within=60)
    ends = stage.ends("waiting")
    assert [ends[one.id] for one in waiting] == [["SUCCESS"]] * 3
    if limited is not None:
        assert stage.end(limited.id)["error"]["code"] == "time_limit"
        assert stage.end(limited.id)["at"] - submitted < 10, "the limit is not late"
    if killed is not None:
        assert stage.end(killed.id)["error"]["code"] == "worker_lost"
