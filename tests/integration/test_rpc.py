"""Three nodes ask each other, as processes of their own, while one of them sleeps, dies and comes back."""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from skyhooks.client import Client
from skyhooks.errors import Refused
from tests.processes import Process, eventually

ROOT = Path(__file__).parents[2]
NODE = str(Path(__file__).with_name("census_node.py"))
NAMES = ("n1", "n2", "n3")


class Trio:
    """The three, of which ``n3`` leads; each can be asked over HTTP."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.processes: dict[str, Process] = {}
        self.clients: dict[str, Client] = {}

    def start(self, name: str) -> None:
        """Start a node, or start it again."""
        argv = [sys.executable, NODE, str(self._folder), "n3", name, *NAMES]
        process = Process(argv, {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}, ROOT)
        self.processes[name] = process
        port = process.wait_for(r"serving at (\d+)")[1]
        self.clients[name] = Client(f"http://127.0.0.1:{port}")

    def silent(self, asked: str) -> list[str]:
        """Who does not answer, as a node sees it."""
        nodes: list[dict[str, Any]] = self.clients[asked].get("/api/nodes", dict[str, Any])["nodes"]
        assert [node["id"] for node in nodes] == list(NAMES)
        assert all(node["status"]["id"] == node["id"] for node in nodes if node["status"])
        return [node["id"] for node in nodes if node["status"] is None]

    def all_answer(self, asked: str) -> bool:
        """Whether everybody does."""
        return not self.silent(asked)

    def close(self) -> None:
        for process in self.processes.values():
            process.close()


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Trio]:
    trio = Trio(tmp_path)
    try:
        for name in NAMES:
            trio.start(name)
        yield trio
    finally:
        trio.close()


def test_any_node_tells_of_all_and_names_the_one_that_sleeps_or_is_dead(trio: Trio) -> None:
    for name in NAMES:
        assert trio.silent(name) == []
    trio.processes["n2"].signal(signal.SIGSTOP)
    for name in ("n1", "n3"):
        assert trio.silent(name) == ["n2"]
    presence = trio.clients["n1"].get("/api/channels/numbers/presence", dict[str, Any])
    assert (presence["subscribers"], presence["nodes"], list(presence["unknown"])) == (
        101,
        {"n1": 1, "n3": 100},
        ["n2"],
    )
    trio.processes["n2"].signal(signal.SIGCONT)
    for name in NAMES:
        eventually(partial(trio.all_answer, name))
    trio.processes["n3"].close()
    assert trio.silent("n1") == ["n3"]
    trio.start("n3")
    eventually(lambda: trio.silent("n1") == [])
    assert trio.clients["n2"].get("/api/channels/numbers/presence", dict[str, Any])["subscribers"] == 111


def test_many_ask_at_once_while_one_node_sleeps(trio: Trio) -> None:
    trio.processes["n2"].signal(signal.SIGSTOP)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: trio.silent("n1"), range(24)))
    assert found == [["n2"]] * 24
    trio.processes["n2"].signal(signal.SIGCONT)
    eventually(lambda: trio.silent("n1") == [])


def test_a_node_is_drained_through_any_other(trio: Trio) -> None:
    assert trio.clients["n1"].post("/api/nodes/leader/drain", dict[str, Any]) == {"id": "n3", "draining": True}
    nodes = trio.clients["n2"].get("/api/nodes", dict[str, Any])["nodes"]
    assert [node["status"]["draining"] for node in nodes] == [False, False, True]
    trio.processes["n2"].signal(signal.SIGSTOP)
    with pytest.raises(Refused) as caught:
        trio.clients["n1"].post("/api/nodes/n2/drain", dict[str, Any])
    assert (caught.value.code, caught.value.status) == ("node_silent", 504)
    trio.processes["n2"].signal(signal.SIGCONT)
