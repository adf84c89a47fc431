"""``skyhooks run`` with a log file, as a process; what it runs is in tests/unit/skyhooks/test_runner.py."""

import signal
import sys
from pathlib import Path

from skyhooks.pidfile import PidFile
from tests.conftest import Spawn
from tests.processes import eventually

CONF = """
from skyhooks.service import Service

class Quiet(Service):
    def on_reload(self):
        print("reloaded", flush=True)

def service():
    return Quiet()
"""


def test_a_log_that_was_moved_away_is_begun_anew_on_reload(spawn: Spawn, tmp_path: Path) -> None:
    conf, log, pids = tmp_path / "it.conf.py", tmp_path / "logs" / "it.log", PidFile(tmp_path / "it.pid")
    conf.write_text(CONF)
    files = ["--pid-file", str(pids.path), "--log-file", str(log)]
    process = spawn([sys.executable, "-P", "-m", "skyhooks.cli", "run", str(conf), *files])
    eventually(lambda: (record := pids.record()) and record.ready, what="it is ready")
    process.signal(signal.SIGHUP)
    eventually(lambda: log.read_text().startswith("reloaded"), what="its first line")
    log.rename(tmp_path / "old.log")
    process.signal(signal.SIGHUP)
    eventually(lambda: log.exists() and log.read_text().startswith("reloaded"), what="another file")
    # What is printed and what is logged go to the same file.
    eventually(lambda: "outcome=" in log.read_text(), what="the line of the log")
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    assert process.lines == []
    assert (tmp_path / "old.log").read_text().count("reloaded\n") == 1


def test_a_log_that_cannot_be_written_is_named(spawn: Spawn, tmp_path: Path) -> None:
    conf = tmp_path / "it.conf.py"
    conf.write_text(CONF)
    process = spawn([sys.executable, "-P", "-m", "skyhooks.cli", "run", str(conf), "--log-file", str(conf / "x.log")])
    assert process.wait() == 2
    assert "x.log cannot be written" in process.lines[-1]
