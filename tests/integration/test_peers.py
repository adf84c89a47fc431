"""Gateways that know each other by address alone: no store, no lease, no log."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import Spawn
from tests.processes import Process, eventually, free_ports

NAMES = ("n1", "n2", "n3")


class Peers:
    """A number server and three gateways, each of which can be killed and started again."""

    def __init__(self, spawn: Spawn, folder: Path) -> None:
        self._spawn = spawn
        self._folder = folder
        first = free_ports(4)
        self.ports = dict(zip(NAMES, range(first, first + 3), strict=True))
        self.feed = f"127.0.0.1:{first + 3}"
        argv = [sys.executable, "-P", "-m", "workers.numbers", "--listen", self.feed, "--rate-per-minute", "600"]
        spawn(argv).wait_for("listening")
        self.nodes: dict[str, Process] = {}
        for name in NAMES:
            self.start(name)

    def start(self, name: str) -> None:
        """Start a gateway, which joins any of those that run."""
        settings = {
            "coordinator": "peer",
            "mesh": self.address(name),
            "bridges": f"numbers=numbers://{self.feed}",
            "heartbeat_seconds": "0.3",
            "leader_lease_seconds": "1.5",
        }
        if self.nodes:
            settings["join"] = self.address(next(iter(self.nodes)))
        options = [text for pair in settings.items() for text in ("-X", "=".join(pair))]
        argv = [sys.executable, "-P", "-m", "gateway", "--listen", f"127.0.0.1:{self.ports[name]}", "--open"]
        process = self._spawn([*argv, "--node-id", name, *options], {"XDG_STATE_HOME": str(self._folder)})
        process.wait_for("listening")
        self.nodes[name] = process

    def address(self, name: str) -> str:
        return f"ipc://{self._folder}/{name}"

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def kill(self, name: str) -> None:
        self.nodes[name].signal(signal.SIGKILL)
        self.nodes.pop(name).wait()

    def status(self, name: str) -> dict[str, Any]:
        """The cluster as one gateway sees it."""
        found: dict[str, Any] = requests.get(f"{self.url(name)}/api/nodes", timeout=10).json()
        return found

    def leader(self) -> str:
        """Who leads, once everybody knows everybody and agrees."""

        def agreed() -> str:
            seen = [self.status(name) for name in self.nodes]
            complete = all(sorted(node["id"] for node in one["nodes"]) == sorted(self.nodes) for one in seen)
            leaders = {(one["leader"], one["term"]) for one in seen}
            return leaders.pop()[0] if complete and len(leaders) == 1 else ""

        return eventually(agreed, what="gateways that agree on a leader")


@pytest.fixture
def peers(spawn: Spawn, tmp_path: Path) -> Iterator[Peers]:
    made = Peers(spawn, tmp_path)
    yield made
    for name, process in made.nodes.items():
        print(name, *process.lines[-20:], sep="\n")  # shown when the test has failed


def test_leaders_are_replaced_five_times_and_nothing_comes_twice(peers: Peers, spawn: Spawn) -> None:
    urls = " ".join(map(peers.url, NAMES))
    tail = spawn([sys.executable, "-P", "-m", "skyhooks.cli", "tail", "numbers"], {"SKYHOOKS_URL": urls})

    def numbers() -> list[int]:
        items = [json.loads(line) for line in list(tail.lines) if line.startswith("{")]
        return [item["data"]["number"] for item in items if "data" in item]

    def go_on() -> None:
        seen = len(numbers())
        eventually(lambda: len(numbers()) > seen + 2, what="numbers")

    terms = []
    for _ in range(5):
        go_on()
        leader = peers.leader()
        terms.append(peers.status(leader)["term"])
        peers.kill(leader)
        assert peers.leader() != leader
        peers.start(leader)
    peers.leader()
    go_on()
    assert terms == sorted(set(terms)), "a term only grows"
    assert all(one < other for one, other in pairwise(numbers())), "none comes twice or out of order"


def test_results_and_messages_reach_every_gateway(peers: Peers) -> None:
    peers.leader()
    for channel in ("chat", "accounts/acme"):
        with requests.get(f"{peers.url('n3')}/channels/{channel}", stream=True, timeout=20) as heard:
            lines = heard.iter_lines()
            assert "position" in json.loads(next(lines))
            eventually(lambda: peers.status("n1")["nodes"][0]["status"]["mesh"]["wanted"] > 0, what="a subscription")
            requests.post(f"{peers.url('n1')}/channels/{channel}", json="hello", timeout=10)
            assert next(json.loads(line)["data"] for line in lines if line) == "hello"


def test_a_store_that_others_would_read_is_refused(spawn: Spawn, tmp_path: Path) -> None:
    options = ["-X", "coordinator=peer", "--store", f"sqlite://{tmp_path}/store.db", "--open"]
    process = spawn([sys.executable, "-P", "-m", "gateway", "--listen", "127.0.0.1:0", *options], dict(os.environ))
    assert process.wait() == 1
    assert "with coordinator peer the store is memory://; got sqlite" in process.output
