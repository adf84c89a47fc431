"""``skyhooks up`` as people run it: everything real, started by one command, stopped by one Ctrl-C."""

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import requests

from tests.conftest import Spawn
from tests.processes import Process, alive, descendants, eventually

SKYHOOKS = [sys.executable, "-P", "-m", "skyhooks.cli"]


class Everything:
    """A running ``skyhooks up`` with its own state folder and ports."""

    def __init__(
        self, spawn: Spawn, folder: Path, port: int, *options: str, environ: Mapping[str, str] | None = None
    ) -> None:
        self._spawn = spawn
        self.urls = [f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"]
        self.env = {"XDG_STATE_HOME": str(folder / "home"), "SKYHOOKS_URL": " ".join(self.urls), **(environ or {})}
        state = ["--state", str(folder / "state"), "--port", str(port)]
        self.process = spawn([*SKYHOOKS, "up", *state, *options], self.env)
        self.process.wait_for(r"Skyhooks is ready\.")
        self.process.wait_for(r"worker-1 +\| .* ready\.")

    def run(self, *arguments: str) -> Process:
        """Another skyhooks command against these gateways."""
        return self._spawn([*SKYHOOKS, *arguments], self.env)

    def pid_of(self, part: str) -> int:
        """The process whose command line holds `part`."""
        found = [
            pid
            for pid in descendants(self.process.pid)
            if part in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        ]
        assert found, part
        return min(found)

    def kill_gateway(self, number: int) -> None:
        """SIGKILL one gateway and see that it is said and that it comes back."""
        seen = len(self.process.lines)
        os.kill(self.pid_of(f"--listen {self.urls[number - 1].removeprefix('http://')}"), signal.SIGKILL)
        self.process.wait_for(rf"gateway-{number} +\| ended \(SIGKILL\); starting it again", after=seen)
        eventually(lambda: _is_ready(self.urls[number - 1]), what=f"gateway {number} is back")


@pytest.fixture
def everything(spawn: Spawn, tmp_path: Path, free_port: Callable[[int], int]) -> Everything:
    return Everything(spawn, tmp_path, free_port(2))


def test_a_submitted_task_shows_its_progress_and_its_result(everything: Everything) -> None:
    task = everything.run("submit", "workers.tasks.countdown", "[3, 0.05]", "--account", "demo", "--wait")
    assert task.wait() == 0, task.output
    states = [line.split()[0] for line in task.lines[1:]]
    assert states == ["STARTED", "PROGRESS", "PROGRESS", "PROGRESS", "SUCCESS"]
    failing = everything.run("submit", "workers.tasks.fail", '{"message": "boo"}', "--account", "demo", "--wait")
    assert failing.wait() == 1
    assert failing.lines[-1] == "FAILURE   ValueError: boo"


def test_every_result_comes_once_and_in_order_while_gateways_are_killed(everything: Everything) -> None:
    tail = everything.run("tail", "accounts/demo", "--since", "0")
    ids = [_submit(everything)]
    for number in (1, 2):
        tail.wait_for(f'{ids[-1]}.*"end":true')
        everything.kill_gateway(number)
        ids.append(_submit(everything))
    tail.wait_for(f'{ids[-1]}.*"end":true')
    items = [json.loads(line) for line in tail.lines if line.startswith("{")]
    assert [item["data"]["task_id"] for item in items if item["data"].get("end")] == ids
    offsets = [int(item["position"].rpartition("-")[2]) for item in items]
    assert offsets == list(range(1, len(items) + 1))
    assert any(line.startswith("connection lost") for line in tail.lines)


def test_a_task_whose_worker_is_killed_runs_again_and_ends_once(everything: Everything) -> None:
    tail = everything.run("tail", "accounts/demo", "--since", "0")
    done = everything.run("submit", "workers.tasks.countdown", "[4, 0.5]", "--account", "demo")
    assert done.wait() == 0
    tail.wait_for('"state":"PROGRESS"')
    os.kill(everything.pid_of("celery -A workers.app"), signal.SIGKILL)
    everything.process.wait_for(r"worker-1 +\| ended \(SIGKILL\); starting it again")
    tail.wait_for('"state":"SUCCESS"', within=60)
    ends = [line for line in tail.lines if '"end":true' in line]
    assert len(ends) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_worker_then_gateways_and_leaves_no_process(everything: Everything, number: int) -> None:
    children = descendants(everything.process.pid)
    assert len(children) == 4
    os.killpg(everything.process.pid, number)
    assert everything.process.wait() == 0
    assert everything.process.lines[-1].startswith("Stopped.")
    stopped = [line.split()[0] for line in everything.process.lines if "| stopped (exit code 0)" in line]
    assert stopped[0] == "worker-1"
    assert sorted(stopped[1:3]) == ["gateway-1", "gateway-2"]
    assert stopped[3:] == ["numbers"]
    assert not any(alive(pid) for pid in children)
    assert "Traceback" not in everything.process.output


@pytest.mark.parametrize("pool", [["--pool", "gevent"], ["--pool", "prefork", "--concurrency", "2"]])
def test_killed_itself_it_leaves_no_process(
    spawn: Spawn, tmp_path: Path, free_port: Callable[[int], int], pool: list[str]
) -> None:
    everything = Everything(spawn, tmp_path, free_port(2), *pool)
    children = descendants(everything.process.pid)
    everything.process.signal(signal.SIGKILL)
    everything.process.wait()
    eventually(lambda: not any(alive(pid) for pid in children), what=f"{children} end")


def test_what_was_submitted_before_a_stop_is_done_after_the_next_start(
    spawn: Spawn, tmp_path: Path, free_port: Callable[[int], int]
) -> None:
    port = free_port(2)
    first = Everything(spawn, tmp_path, port)
    os.kill(first.pid_of("celery -A workers.app"), signal.SIGSTOP)  # so that it cannot begin what comes now
    task_id = _submit(first)
    first.process.signal(signal.SIGKILL)
    first.process.wait()
    second = Everything(spawn, tmp_path, port)
    tail = second.run("tail", f"tasks/{task_id}", "--since", "0")
    tail.wait_for('"state":"SUCCESS"')


def test_what_is_in_the_way_is_said_in_one_sentence(everything: Everything, tmp_path: Path) -> None:
    port = everything.urls[1].rpartition(":")[2]
    taken = everything.run("up", "--port", port, "--state", str(tmp_path / "other"))
    assert taken.wait() == 2
    assert f"{port} (Address already in use); choose with --port" in taken.output
    folder = everything.run("up", "--port", "1024", "--gateways", "1", "--state", str(tmp_path / "state"))
    assert folder.wait() == 1
    assert f"another `skyhooks up` (process {everything.process.pid}) runs on {tmp_path / 'state'}" in folder.output


def test_the_doctor_finds_the_gateways_of_a_running_up(everything: Everything, tmp_path: Path) -> None:
    state = tmp_path / "state"
    options = ["--store", f"sqlite://{state}/skyhooks.db", "--broker", f"file://{state}/broker"]
    doctor = everything.run("doctor", "-A", "workers.app", *options, "--secret", (state / "secret").read_text())
    assert doctor.wait() == 0, doctor.output
    assert "All is well." in doctor.lines
    assert not any(line.startswith(("warn", "fail")) for line in doctor.lines), doctor.output
    assert all(f"at {url}: ready" in doctor.output for url in everything.urls)


def _submit(everything: Everything) -> str:
    process = everything.run("submit", "workers.tasks.add", "[2, 3]", "--account", "demo")
    assert process.wait() == 0, process.output
    return process.lines[0]


def _is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=2).ok
    except requests.RequestException:
        return False
