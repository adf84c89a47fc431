"""A worker tells the journal what it does, over real sockets, and never waits for it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from structlog.testing import capture_logs

from skyhooks import reporter as module
from skyhooks.journal import Address, Note, read_notes
from skyhooks.keys import make_keys, write_keys
from skyhooks.reporter import WAITING, Reporter
from tests.processes import eventually

Context = zmq.Context["zmq.Socket[bytes]"]


class Node:
    """Where notes arrive; nothing is read before a test asks."""

    def __init__(self, endpoint: str, secret: str = "") -> None:
        self.context: Context = zmq.Context()
        self.socket = self.context.socket(zmq.PULL)
        self.socket.setsockopt(zmq.LINGER, 0)
        if secret:
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, secret.encode())
            self.socket.setsockopt(zmq.CURVE_SERVER, 1)
        self.socket.bind(endpoint)
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.notes: list[Note] = []

    def read(self) -> list[Note]:
        while self.socket.poll(0):
            self.notes += read_notes(self.socket.recv_multipart())
        return self.notes

    def close(self) -> None:
        self.socket.close(0)
        self.context.term()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(f"ipc://{tmp_path}/j")
    yield node
    node.close()


@pytest.fixture
def reporter() -> Iterator[Reporter]:
    reporter = Reporter()
    yield reporter
    reporter.close(5)


def notes(*names: str) -> list[Note]:
    return [Note.of("finished", "w", "acme", name) for name in names]


def test_the_first_note_arrives_and_so_do_the_next(reporter: Reporter, node: Node) -> None:
    reporter.report(notes("1"), [Address(node.endpoint)])
    eventually(lambda: node.read() == notes("1"))
    reporter.report(notes("2", "3"), [Address(node.endpoint)])
    eventually(lambda: node.read() == notes("1", "2", "3"))
    eventually(lambda: reporter.sent == 3)
    assert reporter.dropped == 0


def test_closing_hands_over_what_waits(reporter: Reporter, node: Node) -> None:
    reporter.report(notes(*map(str, range(1000))), [Address(node.endpoint)])
    reporter.close(5)
    eventually(lambda: node.read() == notes(*map(str, range(1000))))
    assert not [thread for thread in threading.enumerate() if thread.name == "skyhooks-journal"]


def test_without_collectors_nothing_is_made_and_nothing_kept(reporter: Reporter) -> None:
    reporter.report(notes("1"), [])
    assert reporter.dropped == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "skyhooks-journal"]


def test_what_nobody_takes_is_kept_within_bounds_then_dropped(
    reporter: Reporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = [Address(f"ipc://{tmp_path}/nobody")]
    monkeypatch.setattr(module, "PATIENCE", 10**9)
    for _ in range(WAITING // 500 + 2):
        reporter.report(notes(*map(str, range(500))), nobody)
    assert len(reporter._waiting) <= WAITING
    assert reporter.dropped >= 1000 - 500  # up to one batch is in the thread's hands
    monkeypatch.setattr(module, "PATIENCE", 1)
    eventually(lambda: not reporter._waiting)
    eventually(lambda: reporter.dropped == WAITING + 1000)
    assert reporter.sent == 0


def test_a_node_that_comes_back_is_told_what_waits(reporter: Reporter, tmp_path: Path) -> None:
    address = Address(f"ipc://{tmp_path}/later")
    reporter.report(notes("1"), [address])
    node = Node(address.endpoint)
    try:
        eventually(lambda: node.read() == notes("1"))
    finally:
        node.close()


def test_notes_go_to_whoever_is_live_now(reporter: Reporter, node: Node, tmp_path: Path) -> None:
    other = Node(f"ipc://{tmp_path}/other")
    try:
        reporter.report(notes("1"), [Address(node.endpoint)])
        eventually(lambda: node.read() == notes("1"))

        def heard() -> bool:
            # What is told while a connection ends may be lost.
            reporter.report(notes("2"), [Address(other.endpoint)])
            return bool(other.read())

        eventually(heard)
        known = len(node.read())
        reporter.report(notes("3"), [Address(other.endpoint)])
        eventually(lambda: notes("3")[0] in other.read())
        assert len(node.read()) == known
    finally:
        other.close()


def test_a_collector_that_reads_nothing_costs_nothing(reporter: Reporter, node: Node) -> None:
    for number in range(2000):
        reporter.report(notes(*(f"{number}-{more}" for more in range(50))), [Address(node.endpoint)])
    eventually(lambda: reporter.sent + reporter.dropped + len(reporter._waiting) >= 99_500)
    assert len(reporter._waiting) <= WAITING


def test_endpoints_that_cannot_be_are_said_once_and_the_others_are_told(reporter: Reporter, node: Node) -> None:
    bad = [Address("carrier-pigeon://x"), Address("tcp://203.0.113.9:7000"), Address("")]
    with capture_logs() as logs:
        reporter.report(notes("1"), [*bad, Address(node.endpoint)])
        eventually(lambda: node.read() == notes("1"))
        reporter.report(notes("2"), [*bad[1:], Address(node.endpoint)])
        eventually(lambda: node.read() == notes("1", "2"))
    assert [entry["event"] for entry in logs] == ["journal_unreachable"]


def test_a_node_that_wants_a_key_is_told_with_one(tmp_path: Path) -> None:
    own, theirs = make_keys(), make_keys()
    _, secret = write_keys(tmp_path, "worker", own)
    node = Node("tcp://127.0.0.1:0", theirs.secret)
    reporter = Reporter(str(secret))
    try:
        reporter.report(notes("1"), [Address(node.endpoint, theirs.public)])
        eventually(lambda: node.read() == notes("1"))
    finally:
        reporter.close(5)
        node.close()


@pytest.mark.parametrize("key_file", ["", "/nonexistent/worker.key"])
def test_without_a_key_it_says_so_once_and_reports_nothing(key_file: str) -> None:
    theirs = make_keys()
    node = Node("tcp://127.0.0.1:0", theirs.secret)
    reporter = Reporter(key_file)
    try:
        with capture_logs() as logs:
            for name in ("1", "2"):
                reporter.report(notes(name), [Address(node.endpoint, theirs.public)])
            eventually(lambda: logs)
            reporter.close(5)
        assert [entry["event"] for entry in logs] == ["journal_unreachable"]
        assert "skyhooks keys" in logs[0]["detail"]
        assert (node.read(), reporter.sent, reporter.dropped) == ([], 0, 2)
    finally:
        reporter.close(5)
        node.close()


def test_a_process_that_was_forked_has_a_reporter_of_its_own(reporter: Reporter, node: Node) -> None:
    address = Address(node.endpoint)
    reporter.report(notes("parent"), [address])
    eventually(lambda: node.read() == notes("parent"))
    pid = os.fork()
    if not pid:
        try:
            own = Reporter()
            own.report(notes("child"), [address])
            own.close(5)
        finally:
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    reporter.report(notes("again"), [address])
    eventually(lambda: sorted(note.task_id for note in node.read()) == ["again", "child", "parent"])


GREEN: Any = """
from gevent import monkey
monkey.patch_all()
import sys, time, gevent
from skyhooks.journal import Address, Note
from skyhooks.reporter import Reporter
assert "zmq" not in sys.modules
reporter, ticks = Reporter(), []
def tick():
    while True:
        ticks.append(time.monotonic()); gevent.sleep(0.001)
ticker = gevent.spawn(tick)
nodes = [Address(sys.argv[1]), Address(sys.argv[1] + "-nobody")]
for number in range(200):
    reporter.report([Note.of("finished", "w", "acme", str(number))], nodes)
    gevent.sleep(0.001)
while reporter.sent < 200:
    gevent.sleep(0.01)
ticker.kill()
reporter.close(5)
print("longest pause", max(b - a for a, b in zip(ticks, ticks[1:])))
"""


def test_under_gevent_it_reports_and_no_greenlet_waits(node: Node, tmp_path: Path) -> None:
    program = tmp_path / "green.py"
    program.write_text(GREEN)
    done = subprocess.run([sys.executable, str(program), node.endpoint], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    eventually(lambda: len(node.read()) == 200)
    assert done.stderr == ""
