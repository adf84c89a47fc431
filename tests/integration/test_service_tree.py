"""``deploy/conf/everything.conf.py``: the whole of ``skyhooks up`` as a tree of processes in the background."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skyhooks.pidfile import PidFile
from tests.conftest import Spawn
from tests.processes import Process, alive, descendants, eventually

CONF = Path(__file__).parents[2] / "deploy" / "conf" / "everything.conf.py"

Command = Callable[..., Process]


@pytest.fixture
def command(spawn: Spawn, tmp_path: Path) -> Iterator[Command]:
    def run(name: str, *options: str, code: int = 0) -> Process:
        argv = [sys.executable, "-P", "-m", "skyhooks.cli", name, str(CONF), *options]
        process = spawn(argv, {"XDG_STATE_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)})
        assert process.wait(90) == code, process.output
        return process

    yield run
    if PidFile(tmp_path / "skyhooks" / "run" / "everything.pid").holder():
        run("stop")


def tree(status: Process) -> dict[str, int]:
    """The process of each program that is ready."""
    rows = [line.split() for line in status.lines[2:]]
    return {row[0]: int(row[3]) for row in rows if row[1] == "ready,"}


def test_it_is_a_tree_of_processes_that_starts_heals_and_stops(
    command: Command, free_port: Callable[[int], int]
) -> None:
    started = command("start", "-X", f"port={free_port(2)}", "-X", "pool=solo")
    root = int(started.lines[-1].partition("process ")[2].split(";")[0])
    pids = tree(command("status"))
    assert list(pids) == ["numbers", "gateway-1", "gateway-2", "worker-1"]
    assert set(pids.values()) <= descendants(root)

    os.kill(pids["gateway-1"], signal.SIGKILL)
    eventually(lambda: tree(command("status")).get("gateway-1", 0) not in (0, pids["gateway-1"]), what="it is back")
    everyone = descendants(root)
    assert "has stopped" in command("stop").output
    assert not any(map(alive, [root, *everyone]))


def test_nothing_is_left_when_the_root_is_killed(command: Command, free_port: Callable[[int], int]) -> None:
    command("start", "-X", f"port={free_port(1)}", "-X", "gateways=1", "-X", "pool=solo")
    pids = tree(command("status"))
    root = int(command("status").lines[0].partition("process ")[2].split()[0])
    os.kill(root, signal.SIGKILL)
    eventually(lambda: not any(map(alive, [root, *pids.values()])), what="all are gone")
    command("status", code=3)
