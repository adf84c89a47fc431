"""Workers of an app on the embedded broker look for what dead ones had. With real workers:
tests/integration/test_embedded_broker.py."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from skyhooks.broker_folder import BrokerFolder
from skyhooks.publication import Draft
from skyhooks.recovery import DeadWorkers
from skyhooks.store.memory import MemoryStore
from tests.processes import eventually

PAYLOAD = b'{"headers": {"id": "t1"}}'


@pytest.fixture
def folder(tmp_path: Path) -> BrokerFolder:
    made = BrokerFolder(tmp_path)
    made.prepare()
    return made


def left_behind(root: Path) -> None:
    """A message in the hands of somebody who is dead: nobody holds the lock."""
    owner = root / "taken" / "dead"
    owner.mkdir()
    (root / "taken" / "dead.lock").touch()
    (owner / "celery=1-a").write_bytes(PAYLOAD)


def consumer(root: Path, backend: Any) -> Any:
    app = Celery("x", set_as_current=False)
    app.conf.broker_url = f"file://{root}"
    return SimpleNamespace(app=SimpleNamespace(conf=app.conf, backend=backend))


@pytest.mark.parametrize("backend", [SimpleNamespace(store=MemoryStore), SimpleNamespace()])
def test_what_is_left_behind_is_queued_again_as_a_worker_connects(
    tmp_path: Path, folder: BrokerFolder, backend: Any
) -> None:
    left_behind(tmp_path)
    worker = consumer(tmp_path, backend)
    step = DeadWorkers(worker)
    step.start(worker)
    eventually(lambda: folder.size("celery") == 1)
    step.stop(worker)
    step.stop(worker)


def test_a_task_whose_end_is_published_is_not_queued_again(tmp_path: Path, folder: BrokerFolder) -> None:
    store = MemoryStore()
    store.append([Draft(id="t1:end", channels=("tasks/t1",), data=b"{}")])
    left_behind(tmp_path)
    worker = consumer(tmp_path, SimpleNamespace(store=lambda: store))
    step = DeadWorkers(worker)
    step.start(worker)
    eventually(lambda: not (tmp_path / "taken" / "dead").exists())
    assert folder.size("celery") == 0
    step.stop(worker)
