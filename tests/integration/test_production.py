"""``skyhooks up`` on servers: MongoDB with RabbitMQ and with Redis show the same as the embedded parts."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Spawn
from tests.integration.test_up import Everything
from tests.mongod import ReplicaSet, empty
from tests.processes import free_ports
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis


@pytest.mark.parametrize(("broker", "pool"), [("rabbitmq", "prefork"), ("redis", "gevent")])
def test_the_demo_is_the_same(
    spawn: Spawn,
    tmp_path: Path,
    free_port: Callable[[int], int],
    mongodb: ReplicaSet,
    request: pytest.FixtureRequest,
    broker: str,
    pool: str,
) -> None:
    server: RabbitMQ | Redis = request.getfixturevalue(f"{broker}_server")
    broker_url = server.url if isinstance(server, RabbitMQ) else server.url(14)
    store_url = empty(mongodb, "demo")
    options = ["--store", store_url, "--broker", broker_url, "--pool", pool, "--concurrency", "4"]
    everything = Everything(spawn, tmp_path, free_port(2), *options)
    tail = everything.run("tail", "accounts/demo", "--since", "0")

    task = everything.run("submit", "workers.tasks.countdown", "[3, 0.2]", "--account", "demo", "--wait")
    assert task.wait() == 0, task.output
    assert [line.split()[0] for line in task.lines[1:]] == ["STARTED", *["PROGRESS"] * 3, "SUCCESS"]
    failed = everything.run("submit", "workers.tasks.fail", '{"message": "boo"}', "--account", "demo", "--wait")
    assert (failed.wait(), failed.lines[-1]) == (1, "FAILURE   ValueError: boo")
    flaky = everything.run("submit", "workers.tasks.flaky", "[1, 1]", "--account", "demo", "--wait")
    assert flaky.wait() == 0, flaky.output
    everything.kill_gateway(1)
    squares = everything.run("submit", "workers.tasks.squares", "[3]", "--account", "demo", "--wait")
    assert squares.wait() == 0, squares.output

    tail.wait_for('"task":"workers.tasks.total".*"end":true')
    shown = [json.loads(line) for line in tail.lines if line.startswith("{")]
    offsets = [int(one["position"].rpartition("-")[2]) for one in shown]
    assert offsets == list(range(1, len(shown) + 1))
    ends = [one["data"]["task_id"] for one in shown if one["data"].get("end")]
    assert len(ends) == len(set(ends)) == 3 + 1 + 3 + 1

    os.killpg(everything.process.pid, signal.SIGINT)
    assert everything.process.wait() == 0
    assert "Traceback" not in "\n".join(line for line in everything.process.lines if "gateway" in line)


@pytest.mark.parametrize("scheme", ["amqp://guest:secret@", "redis://:secret@"])
def test_a_broker_that_does_not_answer_is_said_before_anything_starts(
    spawn: Spawn, tmp_path: Path, scheme: str
) -> None:
    address = f"127.0.0.1:{free_ports()}"
    command = [sys.executable, "-P", "-m", "skyhooks.cli", "up", "--state", str(tmp_path), "--port", str(free_ports(2))]
    up = spawn([*command, "--broker", f"{scheme}{address}"])

    assert up.wait() == 1
    assert f"the broker at {address} does not answer" in up.lines[-1]
    assert "correct --broker" in up.lines[-1]
    assert "secret" not in up.output
    assert "Traceback" not in up.output
