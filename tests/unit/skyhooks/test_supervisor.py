"""A supervisor with real processes."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skyhooks.backoff import Backoff
from skyhooks.child import Program
from skyhooks.supervisor import Supervisor
from tests.conftest import Spawn
from tests.processes import alive, descendants, eventually

SOON = Backoff(first=0.01, most=0.02)

PATIENT = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print("bye", flush=True)))
print("hello", flush=True)
while True: time.sleep(60)
"""

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("hello", flush=True)
while True: time.sleep(60)
"""

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
while True: time.sleep(60)
"""


class Log:
    """What a supervisor said."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def __call__(self, name: str, line: str) -> None:
        self.said.append((name, line))

    def of(self, name: str) -> list[str]:
        return [line for who, line in self.said if who == name]

    def wait_for(self, name: str, start: str, times: int = 1) -> None:
        eventually(lambda: sum(line.startswith(start) for line in self.of(name)) >= times, what=f"{start}: {self.said}")


def program(name: str, code: str, folder: Path, rank: int = 0, grace: float = 20.0) -> Program:
    argv = (sys.executable, "-u", "-c", code)
    return Program(name=name, argv=argv, env=dict(os.environ), folder=folder, rank=rank, grace=grace)


def test_output_comes_line_by_line_under_the_programs_name(tmp_path: Path) -> None:
    log = Log()
    code = "import sys; print('one'); print('two', file=sys.stderr); sys.stdout.write('no end'); sys.stdout.flush()"
    code += "; import time; time.sleep(60)"
    supervisor = Supervisor([program("a", code, tmp_path)], log)
    during(supervisor, lambda: log.wait_for("a", "two"))
    assert log.of("a")[:2] == ["one", "two"]
    assert "no end" in log.of("a")


def test_a_line_without_end_is_passed_on_in_pieces(tmp_path: Path) -> None:
    log = Log()
    code = "import sys, time; sys.stdout.write('x' * 300_000); sys.stdout.flush(); time.sleep(60)"
    supervisor = Supervisor([program("a", code, tmp_path)], log)
    during(supervisor, lambda: log.wait_for("a", "xxx"))
    assert sum(len(line) for line in log.of("a") if line.startswith("x")) == 300_000


def test_what_a_program_wrote_just_before_it_ended_is_not_lost(tmp_path: Path) -> None:
    log = Log()
    code = "print('\\n'.join(str(n) for n in range(20_000))); raise SystemExit(3)"
    supervisor = Supervisor([program("a", code, tmp_path)], log, patience=1)
    assert supervisor.run() is False
    assert [line for line in log.of("a") if line.isdigit()] == [str(n) for n in range(20_000)]


def test_a_killed_program_is_started_again_and_this_is_said(tmp_path: Path) -> None:
    log = Log()
    supervisor = Supervisor([program("a", PATIENT, tmp_path)], log, backoff=SOON)

    def kill_once() -> None:
        log.wait_for("a", "hello")
        first = supervisor.pids()["a"]
        os.kill(first, signal.SIGKILL)
        log.wait_for("a", "hello", times=2)
        assert supervisor.pids()["a"] != first

    assert during(supervisor, kill_once) is True
    assert any(line.startswith("ended (SIGKILL); starting it again in 0.0") for line in log.of("a"))


def test_a_program_killed_many_times_is_never_given_up(tmp_path: Path) -> None:
    log = Log()
    supervisor = Supervisor([program("a", PATIENT, tmp_path)], log, backoff=SOON, patience=2)

    def kill_often() -> None:
        for times in range(1, 5):
            log.wait_for("a", "hello", times)
            os.kill(supervisor.pids()["a"], signal.SIGKILL)
        log.wait_for("a", "hello", 5)

    assert during(supervisor, kill_often) is True


def test_a_program_that_keeps_failing_by_itself_is_given_up_and_the_others_are_stopped(tmp_path: Path) -> None:
    log = Log()
    programs = [program("bad", "raise SystemExit(2)", tmp_path), program("good", PATIENT, tmp_path, rank=1)]
    supervisor = Supervisor(programs, log, backoff=SOON, patience=3)
    assert supervisor.run() is False
    assert sum(line.startswith("ended (exit code 2); starting it again") for line in log.of("bad")) == 2
    assert log.of("bad")[-1] == "ended (exit code 2), 3 times in a row: giving up; its lines above say why"
    assert log.of("good")[-1].startswith("stopped (")


def test_a_command_that_does_not_exist_is_given_up(tmp_path: Path) -> None:
    log = Log()
    missing = Program(name="a", argv=(str(tmp_path / "missing"),), env={}, folder=tmp_path)
    assert Supervisor([missing], log, backoff=SOON, patience=2).run() is False
    assert "could not be started" in log.of("a")[0]
    assert "No such file" in log.of("a")[0]


def test_stop_goes_rank_by_rank(tmp_path: Path) -> None:
    log = Log()
    programs = [program("second", PATIENT, tmp_path, rank=1), program("first", PATIENT, tmp_path, rank=0)]
    supervisor = Supervisor(programs, log)

    def both_run() -> None:
        log.wait_for("first", "hello")
        log.wait_for("second", "hello")

    during(supervisor, both_run)
    ends = [pair for pair in log.said if pair[1] in ("stopping", "bye", "stopped (exit code 0)")]
    expected = ["stopping", "bye", "stopped (exit code 0)"]
    assert ends == [*(("first", line) for line in expected), *(("second", line) for line in expected)]


def test_a_program_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    log = Log()
    supervisor = Supervisor([program("a", STUBBORN, tmp_path, grace=0.05)], log)
    during(supervisor, lambda: log.wait_for("a", "hello"))
    assert log.of("a")[-2:] == ["killed: it had not ended yet", "stopped (SIGKILL)"]


def test_a_second_stop_kills_at_once(tmp_path: Path) -> None:
    log = Log()
    supervisor = Supervisor([program("a", STUBBORN, tmp_path, grace=3600.0)], log)

    def stop_first() -> None:
        log.wait_for("a", "hello")
        supervisor.stop()
        log.wait_for("a", "stopping")

    during(supervisor, stop_first)
    assert log.of("a")[-2:] == ["killed: it had not ended yet", "stopped (SIGKILL)"]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_what_a_program_has_started_goes_with_it(tmp_path: Path, how: str) -> None:
    log = Log()
    supervisor = Supervisor([program("a", PARENT, tmp_path)], log, backoff=SOON)
    grandchildren: list[int] = []

    def look() -> None:
        log.wait_for("a", "child")
        grandchildren.append(int(log.of("a")[0].split()[1]))
        assert alive(grandchildren[0])
        if how == "kill":
            os.kill(supervisor.pids()["a"], signal.SIGKILL)
            eventually(lambda: not alive(grandchildren[0]))

    during(supervisor, look)
    eventually(lambda: not alive(grandchildren[0]))


def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path, spawn: Spawn) -> None:
    script = tmp_path / "supervise.py"
    script.write_text(
        "import os, pathlib, sys\n"
        "from skyhooks.child import Program\n"
        "from skyhooks.supervisor import Supervisor\n"
        f"argv = (sys.executable, '-u', '-c', {STUBBORN!r})\n"
        f"programs = [Program(name=n, argv=argv, env=dict(os.environ), folder=pathlib.Path({str(tmp_path)!r}))"
        " for n in 'ab']\n"
        "Supervisor(programs, lambda name, line: print(name, line, flush=True)).run()\n"
    )
    process = spawn([sys.executable, str(script)])
    process.wait_for("a hello")
    process.wait_for("b hello")
    children = descendants(process.pid)
    assert len(children) == 2
    process.signal(signal.SIGKILL)
    process.wait()
    eventually(lambda: not any(alive(pid) for pid in children), what=f"{children} end")


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    before = descendants(os.getpid())
    yield
    eventually(lambda: not (descendants(os.getpid()) - before), what="children end")


def during(supervisor: Supervisor, steps: Callable[[], None]) -> bool:
    """Run the supervisor here, `steps` beside it, and stop it after them."""
    problems: list[BaseException] = []

    def beside() -> None:
        try:
            steps()
        except BaseException as problem:
            problems.append(problem)
        finally:
            supervisor.stop()

    thread = threading.Thread(target=beside)
    thread.start()
    answer = supervisor.run()
    thread.join()
    if problems:
        raise problems[0]
    return answer
