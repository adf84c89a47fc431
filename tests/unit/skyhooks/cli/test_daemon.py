"""What the commands around a configuration share; the commands are in tests/integration/test_service_commands.py."""

import os
import signal
import sys
from pathlib import Path

import click
import pytest

from skyhooks.cli.daemon import Running, command_of, last_lines, log_file_of, pid_file_of, wait_for
from skyhooks.pidfile import PidFile
from tests.conftest import Spawn
from tests.processes import alive, eventually
from tests.unit.skyhooks.cli.conftest import Run
from tests.unit.skyhooks.test_pidfile import HOLD

CONF = Path("/etc/numbers.conf.py")


def test_files_are_named_after_the_configuration() -> None:
    folder = Path(os.environ["XDG_STATE_HOME"], "skyhooks", "run")
    assert pid_file_of(CONF, None).path == folder / "numbers.pid"
    assert log_file_of(CONF, None) == folder / "numbers.log"
    assert pid_file_of(CONF, Path("/run/x.pid")).path == Path("/run/x.pid")


def test_the_command_passes_files_and_settings_on() -> None:
    command = command_of(CONF, PidFile(Path("/run/x.pid")), Path("/var/log/x"), ("a=1", "b=2"))
    assert command[-9:] == (str(CONF), "--pid-file", "/run/x.pid", "--log-file", "/var/log/x", "-X", "a=1", "-X", "b=2")


def test_the_end_of_a_log_is_shown_from_where_it_was(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_lines(log) == ""
    log.write_text("old\n" + "\n".join(f"line {number}" for number in range(40)))
    assert last_lines(log, start=4).splitlines() == [f"line {number}" for number in range(25, 40)]


def test_waiting_ends_when_it_is_so_or_the_time_is_over() -> None:
    assert wait_for(lambda: True, 0)
    assert not wait_for(lambda: False, 0)


def test_a_process_is_signalled_and_seen_to_end(tmp_path: Path, spawn: Spawn) -> None:
    pids = PidFile(tmp_path / "it.pid")
    holder = spawn([sys.executable, "-c", HOLD, str(pids.path)])
    holder.wait_for("taken")
    process = Running(CONF, pids)
    assert (process.pid, process.ended()) == (holder.pid, False)
    process.send(signal.SIGTERM)
    assert process.ended(30)
    assert not alive(holder.pid)
    eventually(lambda: holder.wait() == -signal.SIGTERM)
    with pytest.raises(click.ClickException, match="has just ended"):
        process.send(signal.SIGTERM)


def test_what_does_not_run_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match=r"numbers\.conf\.py does not run .*`skyhooks start` starts it"):
        Running(CONF, PidFile(tmp_path / "it.pid"))


@pytest.mark.parametrize("command", ["run", "start", "restart"])
def test_a_setting_without_a_value_is_a_usage_error(run: Run, tmp_path: Path, command: str) -> None:
    result = run(command, str(tmp_path / "it.conf.py"), "-X", "rate")
    assert result.exit_code == 2
    assert "expected NAME=VALUE; got 'rate'" in result.stderr


@pytest.mark.parametrize("command", ["run", "start", "restart"])
def test_a_file_that_is_not_there_is_named(run: Run, tmp_path: Path, command: str) -> None:
    result = run(command, str(tmp_path / "nowhere.conf.py"))
    assert result.exit_code in (1, 2)
    assert "nowhere.conf.py cannot be read: No such file or directory" in result.stderr


@pytest.mark.parametrize(("command", "code"), [("stop", 1), ("reload", 1), ("status", 3)])
def test_nothing_runs_at_first(run: Run, tmp_path: Path, command: str, code: int) -> None:
    result = run(command, str(tmp_path / "it.conf.py"))
    assert result.exit_code == code
    assert "it.conf.py does not run" in result.output
