"""``skyhooks run|start|stop|restart|reload|status`` from the shell, on the configurations that are shipped."""

import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Spawn
from tests.processes import Process, alive, eventually

ROOT = Path(__file__).parents[2]
SKYHOOKS = [sys.executable, "-P", "-m", "skyhooks.cli"]


class Shell:
    """Commands on one configuration file, with files of their own."""

    def __init__(self, spawn: Spawn, folder: Path, text: str) -> None:
        self._spawn = spawn
        self.conf = folder / "it.conf.py"
        self.conf.write_text(text)
        self.env = {
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_RUNTIME_DIR": str(folder),
            "SKYHOOKS_STORE": f"sqlite://{folder / 'store.db'}",
        }

    def __call__(self, command: str, *options: str, code: int = 0) -> Process:
        """Run a command to its end; it must have this exit code."""
        process = self.begin(command, *options)
        assert process.wait() == code, process.output
        return process

    def begin(self, command: str, *options: str) -> Process:
        return self._spawn([*SKYHOOKS, command, str(self.conf), *options], self.env)

    def change(self, old: str, new: str) -> None:
        text = self.conf.read_text()
        assert old in text
        self.conf.write_text(text.replace(old, new))

    def pid(self) -> int:
        """The process that ``status`` names."""
        return int(self("status").lines[0].partition("process ")[2].split()[0])


def configuration(name: str) -> str:
    return (ROOT / "deploy" / "conf" / f"{name}.conf.py").read_text()


@pytest.fixture
def numbers(spawn: Spawn, tmp_path: Path, free_port: Callable[[int], int]) -> Iterator[Shell]:
    port = free_port(1)
    shell = Shell(spawn, tmp_path, configuration("numbers").replace("7000", str(port)))
    shell.port = port  # type: ignore[attr-defined]
    yield shell
    if (tmp_path / "state" / "skyhooks" / "run" / "it.pid").exists():
        shell("stop")


def test_a_service_is_started_looked_at_replaced_and_stopped(numbers: Shell) -> None:
    assert "does not run" in numbers("status", code=3).output
    assert "it.conf.py runs as process" in numbers("start").output
    first = numbers.pid()
    assert numbers("status").lines[1].split() == ["numbers", "ready"]
    assert f"runs already, as process {first}" in numbers("start", code=1).output
    numbers("restart")
    second = numbers.pid()
    assert second != first
    assert not alive(first)
    assert "has stopped" in numbers("stop").output
    assert not alive(second)
    assert "does not run" in numbers("stop", code=1).output
    assert "does not run" in numbers("reload", code=1).output


def test_a_changed_rate_changes_the_stream_and_drops_no_connection(numbers: Shell) -> None:
    numbers.change("rate_per_minute = 60", "rate_per_minute = 1")
    numbers("start")
    with socket.create_connection(("127.0.0.1", numbers.port), timeout=30) as client:  # type: ignore[attr-defined]
        client.sendall(b"after -\n")
        numbers.change("rate_per_minute = 1", "rate_per_minute = 6000")
        assert "changed rate_per_minute" in numbers("reload").output
        lines = client.makefile("rb")
        seen: list[bytes] = []
        while len(seen) < 20:
            line = lines.readline()
            assert line, "the connection was dropped"
            if line != b"\n":
                seen.append(line)
    assert [int(line.split()[1]) for line in seen] == list(range(int(seen[0].split()[1]), int(seen[0].split()[1]) + 20))


def test_a_file_that_cannot_be_used_changes_nothing_and_is_named(numbers: Shell) -> None:
    numbers("start")
    pid = numbers.pid()
    numbers.change("rate_per_minute = 60", "rate_per_minute = = 60")
    refused = numbers("reload", code=1).output
    assert "the old settings stay in force" in refused
    assert f"{numbers.conf} line" in refused
    numbers.change("rate_per_minute = = 60", "rate_per_minute = -1")
    assert "rate_per_minute from the config file is -1, which cannot be used" in numbers("reload", code=1).output
    numbers.change("rate_per_minute = -1", "rate_per_minute = 60\nnumbers_history = 5")
    assert "numbers_history will change with a restart" in numbers("reload").output
    assert numbers.pid() == pid


def test_what_cannot_start_is_said_with_the_reason(numbers: Shell) -> None:
    with socket.create_server(("127.0.0.1", numbers.port)):  # type: ignore[attr-defined]
        said = numbers("start", code=1).output
    assert "has ended with exit code" in said
    assert "in use" in said
    assert "Traceback" not in said
    numbers.change("rate_per_minute", "rate_per_minit")
    assert "rate_per_minit, which is no setting" in numbers("start", code=1).output
    assert numbers("status", code=3)


def test_what_was_killed_does_not_keep_another_from_starting(numbers: Shell) -> None:
    numbers("start")
    os.kill(pid := numbers.pid(), signal.SIGKILL)
    eventually(lambda: not alive(pid), what="the process is gone")
    assert "does not run" in numbers("status", code=3).output
    numbers("start")
    assert numbers.pid() != pid


def test_a_gateway_runs_from_its_file_and_says_what_is_in_it(
    spawn: Spawn, tmp_path: Path, free_port: Callable[[int], int]
) -> None:
    port = free_port(1)
    text = configuration("gateway").replace("8080", str(port)).replace("7000", str(port))
    shell = Shell(spawn, tmp_path, text)
    running = shell.begin("run")
    running.wait_for("listening")

    tree = [line.split() for line in eventually(lambda: shell("status").lines[1:], what="the services")]
    assert ["node", "ready"] in tree
    assert {name for name, _ in tree} == {"node", "store", "log", "cluster", "registration"}
    asked = spawn([*SKYHOOKS, "cluster", "status", "--json", "--url", f"http://127.0.0.1:{port}"])
    asked.wait()
    assert json.loads(asked.lines[0])["nodes"][0]["id"] == "node-1"
    shell.change('node_id = "node-1"', 'node_id = "node-1"\ndrain_seconds = 1.0')
    assert "changed drain_seconds" in shell("reload").output

    running.signal(signal.SIGTERM)
    assert running.wait() == 0
    assert "Traceback" not in running.output
