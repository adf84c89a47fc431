"""Processes of a prefork worker that die, and limits that strike at the wrong moment: each task still ends once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.outage import read_only
from tests.integration.celery_stage import Stage, account, opened
from tests.processes import eventually

__all__ = ["account"]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with opened(tmp_path_factory.mktemp("loss")) as made:
        made.gateway()
        made.worker("prefork")
        yield made


def test_a_task_whose_process_is_killed_runs_again_and_ends_once(stage: Stage, account: str, tmp_path: Path) -> None:
    result = stage.send("killed_once", str(tmp_path / "marker"), account=account)

    assert stage.end(result.id)["result"] == "survived"
    assert stage.ends(account) == {result.id: ["SUCCESS"]}
    assert result.get(timeout=30) == "survived"


def test_a_task_that_is_not_to_run_again_ends_as_lost(stage: Stage, account: str) -> None:
    result = stage.send("killed", account=account)

    end = stage.end(result.id)
    assert (end["state"], end["error"]["code"]) == ("FAILURE", "worker_lost")
    assert stage.ends(account) == {result.id: ["FAILURE"]}


def test_a_soft_time_limit_ends_the_task(stage: Stage, account: str) -> None:
    result = stage.send("sleeps", 30, account=account, soft_time_limit=1)

    assert stage.end(result.id)["error"]["code"] == "soft_time_limit"
    assert stage.ends(account) == {result.id: ["FAILURE"]}


def test_a_task_may_give_a_result_after_its_soft_limit(stage: Stage, account: str) -> None:
    result = stage.send("patient", 30, account=account, soft_time_limit=1)

    assert stage.end(result.id)["result"] == "cleaned up"


def test_a_revoked_task_that_runs_is_terminated_and_ends_once(stage: Stage, account: str, tmp_path: Path) -> None:
    result = stage.send("waits_for", str(tmp_path / "never"), account=account)
    eventually(lambda: stage.states(result.id) == ["STARTED"], what="the task runs")

    result.revoke(terminate=True)

    end = stage.end(result.id)
    assert (end["state"], end["error"]["code"]) == ("REVOKED", "terminated")
    assert stage.ends(account) == {result.id: ["REVOKED"]}


def test_a_soft_limit_while_the_result_waits_does_not_make_it_a_failure(tmp_path: Path, account: str) -> None:
    with opened(tmp_path) as stage:
        worker = stage.worker("prefork")
        stage.end(stage.send("ok").id)
        with read_only(tmp_path / "store.db"):
            result = stage.send("ok", "kept", account=account, soft_time_limit=1)
            worker.wait_for("Soft time limit")

        assert stage.end(result.id)["result"] == "kept"
        assert stage.ends(account) == {result.id: ["SUCCESS"]}


def test_what_a_killed_worker_had_taken_another_one_runs(tmp_path: Path, account: str) -> None:
    with opened(tmp_path) as stage:
        first = stage.worker("prefork")
        done = stage.send("ok", "before", account=account)
        stage.end(done.id)
        results = [stage.send("waits_for", str(tmp_path / "go"), account=account) for _ in range(3)]
        eventually(lambda: sum(stage.states(one.id) == ["STARTED"] for one in results) == 2, what="two run")
        first.close()

        (tmp_path / "go").touch()
        stage.recover()
        stage.worker("prefork")

        for result in results:
            assert stage.end(result.id)["result"] == "seen"
        assert stage.ends(account) == {one.id: ["SUCCESS"] for one in (done, *results)}
