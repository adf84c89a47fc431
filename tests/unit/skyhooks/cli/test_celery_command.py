"""``celery -A proj skyhooks``, called as Celery does. With a worker: tests/integration/test_doctor.py."""

import json
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery
from celery.bin.base import CLIContext
from celery.bin.celery import celery
from celery.worker.control import Panel
from click.testing import CliRunner, Result

from skyhooks import brokers
from skyhooks.cli.celery_command import skyhooks
from tests.unit.skyhooks.checkup.planting import app, environment


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Celery:
    """A sound app on the embedded broker, without gateway or worker."""
    env = environment(tmp_path, "")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    made = app()
    url = f"file://{tmp_path}/broker"
    brokers.configure(made, url)
    brokers.prepare(url)
    return made


def call(shop: Celery, *arguments: str) -> Result:
    result = CliRunner().invoke(skyhooks, arguments, obj=CLIContext(shop, no_color=True, workdir=None))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_celery_has_the_command() -> None:
    (found,) = (point for point in entry_points(group="celery.commands") if point.name == "skyhooks")
    assert found.load() is skyhooks
    assert celery.commands["skyhooks"] is skyhooks


def test_the_status_of_a_system_that_only_begins(shop: Celery, tmp_path: Path) -> None:
    result = call(shop, "status", "--timeout", "0.1")
    assert result.exit_code == 0, result.output
    assert [line.split(" ")[0] for line in result.stdout.splitlines()] == [
        "store",
        "nodes",
        "spool",
        "broker",
        "workers",
    ]
    view = json.loads(call(shop, "status", "--timeout", "0.1", "--json").stdout)
    assert (view["store"], view["nodes"], view["workers"]) == (f"sqlite://{tmp_path}/store.db", [], [])


def test_a_status_without_store_fails_and_says_where_to_go_on(shop: Celery) -> None:
    shop.conf.skyhooks_store = "postgres://host"
    result = call(shop, "status", "--timeout", "0.1")
    assert result.exit_code == 1
    assert "skyhooks doctor says what to change" in result.stderr


def test_the_doctor_looks_at_the_app(shop: Celery) -> None:
    result = call(shop, "doctor")
    assert result.exit_code == 0, result.output
    assert "app: task_acks_late is on" in result.stdout
    shop.conf.result_backend = "rpc://"
    result = call(shop, "doctor")
    assert result.exit_code == 1
    assert "[other_backend]" in result.stdout


def test_a_worker_tells_where_it_takes_its_results_without_passwords(shop: Celery, tmp_path: Path) -> None:
    state = SimpleNamespace(app=shop)
    assert Panel.data["skyhooks_place"](state) == {"backend": "skyhooks", "spool": str(tmp_path / "spool")}
    other = app(result_backend="skyhooks+mongodb://me:hidden@host/shop")
    told = Panel.data["skyhooks_place"](SimpleNamespace(app=other))
    assert told["backend"] == "skyhooks+mongodb://me:**@host/shop"
