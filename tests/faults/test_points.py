"""A worker is killed at each of its crash points: the task ends once all the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.build import WORKER_POINTS
from tests.faults.parts import build
from tests.integration.celery_stage import ROOT, Stage, opened
from tests.processes import Process, eventually


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with opened(tmp_path) as made:
        yield made


def worker(stage: Stage, pool: str, point: str) -> Process:
    """A worker that dies at a point, once."""
    armed, hits = stage.folder / "armed", stage.folder / "hits"
    armed.write_text(point)
    env = {**stage.env, "PYTHONPATH": str(ROOT), "FAULTS_ARMED": str(armed), "FAULTS_HITS": str(hits)}
    argv = build("worker", "-A", "tests.integration.case_app", "worker", "-P", pool, "-c", "2", "-l", "INFO")
    process = Process(argv, env, ROOT)
    stage._stack.callback(process.close)
    process.wait_for(r"ready\.$")
    return process


@pytest.mark.parametrize("point", WORKER_POINTS)
@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_a_task_whose_worker_dies_on_the_way_ends_once(stage: Stage, pool: str, point: str) -> None:
    stage.gateway()
    dying = worker(stage, pool, point)
    task = stage.send("ok", 1, account="a")
    eventually((stage.folder / "hits").exists, what="the point is come to")
    if pool == "gevent":
        dying.wait()
        stage.recover()
        stage.worker(pool)
    assert stage.end(task.id)["result"] == 1
    assert stage.ends("a") == {task.id: ["SUCCESS"]}
