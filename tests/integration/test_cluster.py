"""Three gateways as one: leaders die, sleep and drain, and a subscriber of the numbers sees each one once, in order."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import Spawn
from tests.integration.test_up import Everything
from tests.mongod import ReplicaSet, empty
from tests.processes import Process, eventually

LEASE = 3.0
"""Seconds of a leader's lease, as by default."""


class Cluster(Everything):
    """``skyhooks up`` with three gateways, and ten numbers a second."""

    def __init__(self, spawn: Spawn, folder: Path, port: int, *options: str) -> None:
        rate = {"SKYHOOKS_RATE_PER_MINUTE": "600"}
        super().__init__(spawn, folder, port, "--gateways", "3", *options, environ=rate)
        self.urls.append(f"http://127.0.0.1:{port + 2}")
        self.env["SKYHOOKS_URL"] = " ".join(reversed(self.urls))

    def status(self) -> dict[str, Any]:
        """What ``skyhooks cluster status`` says."""
        asked = self.run("cluster", "status", "--json")
        assert asked.wait() in (0, 1), asked.output
        found: dict[str, Any] = json.loads(asked.lines[0])
        return found

    def leader(self) -> str:
        """Who leads, once all three nodes agree on it."""

        def agreed() -> str:
            nodes = self.status()["nodes"]
            seen = {(node["status"] or {}).get("leader", "") for node in nodes}
            return seen.pop() if len(nodes) == 3 and len(seen) == 1 else ""

        return eventually(agreed, what="three nodes that agree on a leader")

    def pid(self, node: str) -> int:
        """The process of a node."""
        return self.pid_of(f"--node-id {node}")


@pytest.fixture(params=["sqlite", "mongodb"])
def store(request: pytest.FixtureRequest) -> list[str]:
    if request.param == "sqlite":
        return []
    server: ReplicaSet = request.getfixturevalue("mongodb")
    return ["--store", empty(server, "cluster")]


@pytest.fixture
def cluster(spawn: Spawn, tmp_path: Path, free_port: Callable[[int], int], store: list[str]) -> Iterator[Cluster]:
    made = Cluster(spawn, tmp_path, free_port(3), *store)
    yield made
    if made.process.output:
        print("\n".join(made.process.lines[-120:]))  # shown when the test has failed


def numbers(tail: Process) -> list[int]:
    """The numbers that a subscriber has seen."""
    return [json.loads(line)["data"]["number"] for line in list(tail.lines) if line.startswith('{"position"')]


def follow(cluster: Cluster) -> Process:
    """A subscriber on the third node that resumes by position, on another one if need be."""
    tail = cluster.run("tail", "numbers", "--since", "0")
    eventually(lambda: len(numbers(tail)) > 3, what="the first numbers")
    return tail


def goes_on(tail: Process, cluster: Cluster) -> float:
    """Wait for five more numbers; the seconds that it took."""
    began, seen = time.monotonic(), len(numbers(tail))
    eventually(lambda: len(numbers(tail)) >= seen + 5, what=f"numbers after {numbers(tail)[-3:]}: {tail.lines[-3:]}")
    return time.monotonic() - began


def assert_contiguous(tail: Process) -> None:
    seen = numbers(tail)
    assert all(after == before + 1 for before, after in pairwise(seen)), seen
    assert not any('"gap"' in line for line in tail.lines)


def test_the_numbers_go_on_when_leaders_are_killed(cluster: Cluster) -> None:
    tail, terms = follow(cluster), []
    for _ in range(3):
        leader = cluster.leader()
        terms.append(cluster.status()["term"])
        seen = len(cluster.process.lines)
        os.kill(cluster.pid(leader), signal.SIGKILL)
        cluster.process.wait_for(rf"gateway-{leader[-1]} +\| ended \(SIGKILL\)", after=seen)
        print(f"{leader} killed; five numbers more after {goes_on(tail, cluster):.1f} s")
    cluster.leader()
    assert_contiguous(tail)
    assert terms == sorted(set(terms)), "a term only grows"


@pytest.mark.parametrize("leases", [0.5, 1.5, 3])
def test_a_leader_that_slept_repeats_nothing(
    spawn: Spawn, tmp_path: Path, free_port: Callable[[int], int], leases: float
) -> None:
    cluster = Cluster(spawn, tmp_path, free_port(3))
    tail, leader = follow(cluster), cluster.leader()
    pid = cluster.pid(leader)
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(leases * LEASE)  # this long it sleeps
    finally:
        os.kill(pid, signal.SIGCONT)
    goes_on(tail, cluster)
    new = cluster.leader()
    goes_on(tail, cluster)
    assert_contiguous(tail)
    if leases > 1:
        assert new != leader
    if leases == 1.5:
        # After a longer sleep it takes the silent feed for dead, and has nothing left to write late.
        refused = {node["id"]: node["status"]["refused"] for node in cluster.status()["nodes"]}
        assert refused[leader] > 0, "the store has refused what it wrote late"


def test_a_drained_leader_hands_over_and_comes_back(
    spawn: Spawn, tmp_path: Path, free_port: Callable[[int], int]
) -> None:
    cluster = Cluster(spawn, tmp_path, free_port(3))
    tail, leader = follow(cluster), cluster.leader()
    term = cluster.status()["term"]
    drained = cluster.run("cluster", "drain", "leader")
    assert drained.wait() == 0, drained.output
    cluster.process.wait_for(rf"gateway-{leader[-1]} +\| ended \(exit code 0\)")
    goes_on(tail, cluster)
    # Often another node; but `up` runs the drained one anew at once, and that run may stand first.
    cluster.leader()
    assert cluster.status()["term"] > term
    assert_contiguous(tail)


def test_one_connection_to_the_number_server_is_enough(
    spawn: Spawn, tmp_path: Path, free_port: Callable[[int], int]
) -> None:
    cluster = Cluster(spawn, tmp_path, free_port(3))
    goes_on(follow(cluster), cluster)
    cluster.leader()
    said = [line for line in cluster.process.lines if line.startswith("numbers") and "clients=" in line]
    assert said[-1].rstrip().endswith("clients=1")


def test_the_journal_tells_what_became_of_a_result(
    spawn: Spawn, tmp_path: Path, free_port: Callable[[int], int]
) -> None:
    cluster = Cluster(spawn, tmp_path, free_port(3))
    tail = cluster.run("tail", "accounts/demo")
    # Whoever comes after a result reads it from the log, and is nobody whom it was sent to.
    presence = f"{cluster.urls[0]}/api/channels/accounts/demo/presence"
    eventually(lambda: requests.get(presence, timeout=5).json()["subscribers"], what="a subscriber")
    task = cluster.run("submit", "workers.tasks.add", "[1, 2]", "--account", "demo", "--wait")
    assert task.wait() == 0, task.output
    tail.wait_for('"end":true')

    def events() -> set[str]:
        asked = cluster.run("journal", "--account", "demo", "--since", "1h", "--json")
        assert asked.wait() == 0, asked.output
        found = {json.loads(line)["event"] for line in asked.lines if line.startswith("{")}
        print(*sorted(found))  # shown when the test has failed
        return found

    eventually(lambda: events() >= {"finished", "stored", "sent"}, what="three events")
