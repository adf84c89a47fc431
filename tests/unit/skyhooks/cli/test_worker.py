"""``skyhooks worker`` becomes Celery's worker: a real one, for somebody's own app and for the demo's."""

import re
import signal
import sys
from pathlib import Path

import pytest

from skyhooks.cli.state import State, default_folder
from tests.conftest import Spawn

SKYHOOKS = [sys.executable, "-P", "-m", "skyhooks.cli"]

SHOP = """
import os
from celery import Celery
from celery.signals import worker_ready

app = Celery("shop", broker="memory://")

@worker_ready.connect
def ready(**_):
    from gevent.monkey import is_module_patched
    print(f"ready; patched {is_module_patched('socket')} secret {os.environ.get('SKYHOOKS_SECRET')}")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


@pytest.mark.parametrize(("pool", "patched"), [([], True), (["--pool", "solo"], False)])
def test_it_runs_an_app_from_the_current_folder_on_gevent_unless_told(
    spawn: Spawn, project: Path, pool: list[str], patched: bool
) -> None:
    process = spawn([*SKYHOOKS, "worker", "-A", "shop", *pool, "--without-mingle"], cwd=project)
    process.wait_for(f"ready; patched {patched} secret None")
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def test_it_signs_with_the_secret_of_up(spawn: Spawn, project: Path) -> None:
    home = {"XDG_STATE_HOME": str(project / "home")}
    place = State(default_folder(home))
    place.occupy()
    secret = place.secret()
    process = spawn([*SKYHOOKS, "worker", "-A", "shop", "--pool", "solo"], home, project)
    process.wait_for(re.escape(f"secret {secret}"))
    assert f"signing with the secret in {place.secret_file}" in process.output


def test_a_secret_of_its_own_wins(spawn: Spawn, project: Path) -> None:
    home = {"XDG_STATE_HOME": str(project / "home"), "SKYHOOKS_SECRET": "mine"}
    place = State(default_folder(home))
    place.occupy()
    place.secret()
    process = spawn([*SKYHOOKS, "worker", "-A", "shop", "--pool", "solo"], home, project)
    process.wait_for("secret mine")


def test_somebodys_own_workers_folder_is_not_taken_for_ours(spawn: Spawn, tmp_path: Path) -> None:
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers" / "app.py").write_text("raise SystemExit('the wrong app')\n")
    home = {"XDG_STATE_HOME": str(tmp_path / "home")}
    process = spawn([*SKYHOOKS, "worker", "--loglevel", "INFO"], home, tmp_path)
    process.wait_for("ready")
    assert "workers.tasks.countdown" in process.output


def test_an_app_that_is_not_there_is_said_by_celery(spawn: Spawn, tmp_path: Path) -> None:
    process = spawn([*SKYHOOKS, "worker", "-A", "nowhere"], cwd=tmp_path)
    assert process.wait() != 0
    assert "The module nowhere was not found" in process.output
