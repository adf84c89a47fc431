"""The embedded broker under somebody's own app: what a worker had when it was killed is not lost with it."""

from pathlib import Path

import pytest

from tests.integration.pool_stage import PoolStage, opened
from tests.processes import eventually


@pytest.mark.parametrize("pool", ["gevent", "prefork"])
def test_what_a_killed_worker_had_the_next_one_runs_and_each_task_ends_once(tmp_path: Path, pool: str) -> None:
    with opened(tmp_path, f"sqlite://{tmp_path / 'store.db'}", f"file://{tmp_path / 'broker'}") as stage:
        stage.gateway()
        first = stage.worker(pool)
        done = stage.send("ok", "before", account="acme")
        stage.end(done.id)
        running = [stage.send("waits_for", str(tmp_path / "go"), account="acme") for _ in range(3)]
        eventually(lambda: all(stage.states(one.id) == ["STARTED"] for one in running), what="all run")
        first.close()
        waiting = stage.send("ok", "after", account="acme")
        (tmp_path / "go").touch()

        second = stage.worker(pool)

        assert [stage.end(one.id)["result"] for one in (*running, waiting)] == ["seen"] * 3 + ["after"]
        assert_nothing_left(stage)
        assert stage.ends("acme") == {one.id: ["SUCCESS"] for one in (done, *running, waiting)}
        assert second.output.count("broker_recovered") == 1


def test_what_a_killed_worker_had_a_live_one_runs(tmp_path: Path) -> None:
    with opened(tmp_path, f"sqlite://{tmp_path / 'store.db'}", f"file://{tmp_path / 'broker'}") as stage:
        stage.gateway()
        first = stage.worker("prefork")
        task = stage.send("waits_for", str(tmp_path / "go"), account="acme")
        eventually(lambda: stage.states(task.id) == ["STARTED"], what="it runs")
        stage.worker("prefork")
        first.close()
        (tmp_path / "go").touch()

        assert stage.end(task.id)["result"] == "seen"
        assert_nothing_left(stage)
        assert stage.ends("acme") == {task.id: ["SUCCESS"]}


def assert_nothing_left(stage: PoolStage) -> None:
    """Nobody holds a message any more."""
    taken = stage.folder / "broker" / "taken"
    eventually(lambda: not [one for one in taken.glob("*/*") if one.is_file()], what="every message is settled")
