"""The mesh between processes: every pair hears each other, over paths and ports, directly and through a forwarder."""

import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.mesh_stage import MeshNode, meet
from tests.processes import Process, eventually, free_ports

Start = Callable[..., MeshNode]


@pytest.fixture
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Start]:
    """`start("a")` starts a node; all of them end with the test, by themselves."""
    nodes: list[MeshNode] = []

    def call(name: str, bind: str = "", forwarder: str = "", *, keys: Path | None = None) -> MeshNode:
        nodes.append(MeshNode(name, bind or f"ipc://{tmp_path}/{name}.pub", forwarder, keys=keys))
        return nodes[-1]

    yield call
    codes = [node.close() for node in nodes]
    assert set(codes) <= {0, -9}


def everybody_hears_everybody(nodes: list[MeshNode]) -> None:
    for node in nodes:
        node.tell("subscribe", "numbers")
    for node in nodes:
        for other in nodes:
            if node is not other:
                node.hears(other)
    for node in nodes:
        node.publish("numbers", "e", 1, 100)
    for node in nodes:
        for other in nodes:
            expected = [] if node is other else list(range(1, 101))
            eventually(lambda: node.heard(other, "e") == expected, what=f"{node.name} from {other.name}")  # noqa: B023


@pytest.mark.parametrize("bind", ["", "tcp://127.0.0.1:0"])
def test_every_pair_of_five_hears_each_other(start: Start, bind: str) -> None:
    nodes = [start(f"n{number}", bind) for number in range(5)]
    meet(*nodes)
    everybody_hears_everybody(nodes)


def test_with_a_forwarder_one_setting_differs(start: Start) -> None:
    base = f"tcp://127.0.0.1:{free_ports(2)}"
    forwarder = Process([sys.executable, "-P", "-m", "gateway.mesh.forwarder", "--listen", base])
    try:
        forwarder.wait_for("forwarding")
        nodes = [start(f"n{number}", "", base) for number in range(3)]
        meet(*nodes)
        everybody_hears_everybody(nodes)
        forwarder.signal(signal.SIGTERM)
        assert forwarder.wait() == 0
        assert "Traceback" not in forwarder.output
    finally:
        forwarder.close()


def test_a_node_that_was_killed_and_comes_back_is_heard_again(start: Start) -> None:
    one, other = start("one", f"tcp://127.0.0.1:{free_ports()}"), start("other")
    meet(one, other)
    other.tell("subscribe", "numbers")
    other.hears(one)
    bind = one.member["mesh"]
    one.kill()
    again = start("one", bind)
    meet(again, other)
    again.publish("numbers", "nobody", 1)
    eventually(lambda: again.stats()["wanted"] == 1)
    again.publish("numbers", "again", 1)
    eventually(lambda: other.heard(again, "again") == [1])


def test_a_node_that_hangs_is_let_go_of_and_heard_when_it_wakes(start: Start) -> None:
    one, other = start("one", "tcp://127.0.0.1:0"), start("other", "tcp://127.0.0.1:0")
    meet(one, other)
    other.tell("subscribe", "numbers")
    other.hears(one)
    other.signal(signal.SIGSTOP)
    try:
        # Nothing but the heartbeat says that it is gone.
        eventually(lambda: one.stats()["wanted"] == 0)
    finally:
        other.signal(signal.SIGCONT)
    eventually(lambda: one.stats()["wanted"] == 1)
    one.publish("numbers", "awake", 1)
    eventually(lambda: other.heard(one, "awake") == [1])


def test_garbage_on_the_port_of_a_node_is_survived_without_a_traceback(start: Start) -> None:
    one, other = start("one", "tcp://127.0.0.1:0"), start("other", "tcp://127.0.0.1:0")
    meet(one, other)
    other.tell("subscribe", "numbers")
    other.hears(one)
    address = ("127.0.0.1", int(one.member["mesh"].rpartition(":")[2]))
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 300, b"\xff" * 64, b"\0" * 64):
        with socket.create_connection(address) as stranger:
            stranger.sendall(garbage)
    one.publish("numbers", "after", 1)
    eventually(lambda: other.heard(one, "after") == [1])
    assert "Traceback" not in "".join(one.output)
    assert one.stats()["wanted"] == 1
