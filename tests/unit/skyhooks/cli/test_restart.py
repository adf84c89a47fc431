"""What `restart` keeps of the process that it replaces; the rest is in tests/integration/test_service_commands.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from skyhooks.pidfile import PidFile, Record
from tests.unit.skyhooks.cli.conftest import Run

CONF = """
from skyhooks.service import Service
from skyhooks.settings import Setting, Settings

class settings(Settings):
    word = Setting("none", str, "what to say")

def service(settings):
    service = Service("root")
    return service.add(Service(settings.word)).parent
"""


@pytest.fixture
def conf(run: Run, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "it.conf.py"
    path.write_text(CONF)
    yield path
    if run("status", str(path)).exit_code == 0:
        run("stop", str(path))


def record(tmp_path: Path) -> Record:
    found = PidFile(tmp_path / "state-home" / "skyhooks" / "run" / "it.pid").record()
    assert found is not None
    return found


def test_it_has_the_settings_and_the_log_of_the_one_before(run: Run, conf: Path, tmp_path: Path) -> None:
    assert run("start", str(conf), "-X", "word=first", "--log-file", str(tmp_path / "x.log")).exit_code == 0
    before = record(tmp_path)
    assert run("restart", str(conf)).exit_code == 0
    after = record(tmp_path)
    assert after.pid != before.pid
    assert (after.services.children[0].name, after.log) == ("first", str(tmp_path / "x.log"))
    assert run("restart", str(conf), "-X", "word=second").exit_code == 0
    assert record(tmp_path).services.children[0].name == "second"


def test_a_file_with_a_mistake_does_not_cost_the_process_that_runs(run: Run, conf: Path, tmp_path: Path) -> None:
    run("start", str(conf))
    before = record(tmp_path)
    conf.write_text("def (")
    result = run("restart", str(conf))
    assert (result.exit_code, record(tmp_path).pid) == (2, before.pid)
    assert "it.conf.py line 1: invalid syntax" in result.stderr


def test_it_starts_what_does_not_run(run: Run, conf: Path, tmp_path: Path) -> None:
    assert run("restart", str(conf)).exit_code == 0
    assert record(tmp_path).ready
