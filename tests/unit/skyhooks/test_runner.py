"""The runner, as a process, with services of both kinds on every engine."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from skyhooks.pidfile import PidFile, Record
from tests.conftest import Spawn
from tests.processes import Process, eventually

TEXT = """
import time
from skyhooks.service import {kind}
from skyhooks.settings import Setting, Settings

class settings(Settings):
    word = Setting("one", str, "what to say", live=True)
    place = Setting("here", str, "where")

engine = "{engine}"
word = "one"

class Talker({kind}):
    {hook} on_start(self):
        print("starting", flush=True)
        {wait}
        self.spawn(self.work{call}, "work")
        print("started", flush=True)

    def on_reload(self):
        print("says", self.settings.word, flush=True)
        if self.settings.word == "bad":
            raise OSError("cannot say that")

    def on_stop(self):
        print("stopped", flush=True)

    {hook} work(self):
        {work}

def service(settings):
    talker = Talker("talker")
    talker.settings = settings
    root = {kind}("root")
    root.add(talker)
    return root
"""
KINDS = ["asyncio", "threads", "gevent"]


class Running:
    """``skyhooks run`` on a file that can be changed."""

    def __init__(self, spawn: Spawn, folder: Path, engine: str, wait: str = "pass", work: str = "pass") -> None:
        awaits = engine == "asyncio"
        parts = {
            "kind": "Service" if awaits else "BlockingService",
            "hook": "async def" if awaits else "def",
            "call": "()" if awaits else "",
        }
        self.conf = folder / "it.conf.py"
        self.conf.write_text(TEXT.format(engine=engine, wait=wait, work=work, **parts))
        self.pids = PidFile(folder / "it.pid")
        files = ["--pid-file", str(self.pids.path)]
        command = [sys.executable, "-P", "-m", "skyhooks.cli", "run", str(self.conf), *files]
        self.process: Process = spawn(command, {"XDG_STATE_HOME": str(folder)})

    def ready(self) -> Record:
        return self.until(lambda record: record.ready)

    def until(self, condition: Callable[[Record], bool]) -> Record:
        def seen() -> Record | None:
            record = self.pids.record()
            return record if record is not None and condition(record) else None

        found = eventually(seen, what=self.process.output)
        assert found is not None
        return found

    def reload(self, old: str, new: str) -> Record:
        self.conf.write_text(self.conf.read_text().replace(old, new))
        before = self.ready().reloads
        self.process.signal(signal.SIGHUP)
        return self.until(lambda record: record.reloads > before)


@pytest.mark.parametrize("engine", KINDS)
def test_a_service_runs_takes_changes_over_and_stops(spawn: Spawn, tmp_path: Path, engine: str) -> None:
    running = Running(spawn, tmp_path, engine)
    services = running.ready().services
    assert (services.name, services.state) == ("root", "ready")
    assert [(child.name, child.state) for child in services.children] == [("talker", "ready")]
    record = running.reload('word = "one"', 'word = "two"\nplace = "there"')
    assert (record.outcome, record.refused) == ("changed word; place will change with a restart", False)
    assert running.reload("def service", "\ndef service").outcome.startswith("no setting has changed")
    running.process.signal(signal.SIGTERM)
    assert running.process.wait() == 0
    said = [line for line in running.process.lines if line.startswith(("start", "says", "stop"))]
    assert said == ["starting", "started", "says two", "says two", "stopped"]
    assert not running.pids.path.exists()


@pytest.mark.parametrize("engine", KINDS)
def test_what_a_service_cannot_take_over_is_taken_back(spawn: Spawn, tmp_path: Path, engine: str) -> None:
    running = Running(spawn, tmp_path, engine)
    running.ready()
    record = running.reload('word = "one"', 'word = "bad"')
    assert (record.outcome, record.refused) == ("cannot say that", True)
    assert record.services.state == "ready"
    running.process.wait_for("reload_refused")
    assert [line for line in running.process.lines if line.startswith("says")] == ["says bad", "says one"]


@pytest.mark.parametrize("engine", KINDS)
def test_a_file_that_cannot_be_used_changes_nothing(spawn: Spawn, tmp_path: Path, engine: str) -> None:
    running = Running(spawn, tmp_path, engine)
    running.ready()
    record = running.reload("def service", "def def service")
    assert record.refused
    assert f"{running.conf} line" in record.outcome
    record = running.reload("def def service", "def service")
    assert not record.refused
    assert not [line for line in running.process.lines if line.startswith("Traceback")]


def test_another_engine_waits_for_a_restart(spawn: Spawn, tmp_path: Path) -> None:
    running = Running(spawn, tmp_path, "asyncio")
    running.ready()
    record = running.reload('engine = "asyncio"', 'engine = "threads"')
    assert record.outcome == "no setting has changed; engine will change with a restart"


@pytest.mark.parametrize(
    ("engine", "wait"),
    [
        ("asyncio", "import asyncio; await asyncio.sleep(600)"),
        ("threads", "time.sleep(600)"),
        ("gevent", "time.sleep(600)"),
    ],
)
def test_a_signal_ends_a_start_that_does_not_end(spawn: Spawn, tmp_path: Path, engine: str, wait: str) -> None:
    running = Running(spawn, tmp_path, engine, wait=wait)
    running.process.wait_for("starting")
    assert running.until(lambda record: record.services.children[0].state == "starting").ready is False
    running.process.signal(signal.SIGTERM)
    assert running.process.wait() == 0
    assert "started" not in running.process.lines


@pytest.mark.parametrize("engine", KINDS)
def test_a_service_that_fails_ends_the_process_with_its_reason(spawn: Spawn, tmp_path: Path, engine: str) -> None:
    running = Running(spawn, tmp_path, engine, work="raise OSError('the cable is cut')")
    assert running.process.wait() == 1
    assert running.process.lines[-1] == "Error: it.conf.py has ended: the cable is cut"
    assert "stopped" in running.process.lines or "started" in running.process.lines
    assert not running.pids.path.exists()


def test_what_is_no_service_is_said(spawn: Spawn, tmp_path: Path) -> None:
    (tmp_path / "it.conf.py").write_text("def service(): return 3")
    command = [sys.executable, "-P", "-m", "skyhooks.cli", "run", str(tmp_path / "it.conf.py")]
    process = spawn(command, {"XDG_STATE_HOME": str(tmp_path)})
    assert process.wait() == 2
    assert process.lines[-1].endswith("must return a service; got int")
