"""A service that is a child process, with real ones."""

import os
import signal
import sys
from pathlib import Path

import pytest

from skyhooks.child import Program
from skyhooks.lifecycle import State
from skyhooks.process import ProcessService
from skyhooks.service import BlockingService
from tests.processes import alive, eventually

PATIENT = "import time; print('hello', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {PATIENT}"


class Said(list[tuple[str, str]]):
    def __call__(self, name: str, line: str) -> None:
        self.append((name, line))


def program(code: str, folder: Path, name: str = "one", grace: float = 10.0) -> Program:
    return Program(name=name, argv=(sys.executable, "-c", code), env=os.environ, folder=folder, grace=grace)


def test_it_is_ready_when_the_program_is_and_gone_when_it_has_stopped(tmp_path: Path) -> None:
    said = Said()
    service = ProcessService(program(PATIENT, tmp_path), said, ready=lambda: ("one", "hello") in said)
    with service:
        pid = service.pid
        assert alive(pid)
        assert service.outline().detail == f"process {pid}"
        assert ("one", "hello") in said
    assert not alive(pid)
    assert service.state is State.STOPPED


def test_a_program_that_is_killed_comes_back(tmp_path: Path) -> None:
    with ProcessService(program(PATIENT, tmp_path), Said()) as service:
        os.kill(first := service.pid, signal.SIGKILL)
        eventually(lambda: service.pid not in (0, first), what="another process")
        assert service.state is State.READY


def test_a_program_that_does_not_end_is_killed_after_its_grace(tmp_path: Path) -> None:
    said = Said()
    service = ProcessService(program(STUBBORN, tmp_path, grace=0.1), said, ready=lambda: ("one", "hello") in said)
    with service:
        pid = service.pid
    assert not alive(pid)
    assert ("one", "killed: it had not ended yet") in said


def test_a_program_that_is_not_ready_in_time_is_stopped_again(tmp_path: Path) -> None:
    pids: list[int] = []

    def never() -> bool:
        pids.append(service.pid)
        return False

    service = ProcessService(program(PATIENT, tmp_path), Said(), never, ready_seconds=0.3)
    with pytest.raises(ChildProcessError, match=r"one is not ready after 0\.3 seconds"):
        service.start()
    assert pids
    assert not any(map(alive, filter(None, pids)))


def test_a_program_that_fails_for_good_fails_the_tree(tmp_path: Path) -> None:
    root = BlockingService("root")
    child = root.add(ProcessService(program("raise SystemExit(3)", tmp_path), Said()))
    with pytest.raises(ChildProcessError, match="one has failed for good"), root:
        root.wait(60)
    assert child.error is not None


def test_programs_stop_in_the_reverse_of_the_order_in_which_they_started(tmp_path: Path) -> None:
    said, root = Said(), BlockingService("root")
    for name in ("first", "second"):
        root.add(ProcessService(program(PATIENT, tmp_path, name), said, lambda name=name: (name, "hello") in said))
    with root:
        pass
    assert [name for name, line in said if line == "hello"] == ["first", "second"]
    assert [name for name, line in said if line == "stopping"] == ["second", "first"]
