"""When gateways or the store are away nothing is lost and nothing doubled: results wait, then lie in the spool."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.outage import read_only
from tests.integration.celery_stage import Stage, account, opened, pool
from tests.processes import Process, eventually

__all__ = ["account", "pool"]

IMPATIENT = {"SKYHOOKS_DEADLINE": "1"}
"""Settings with which the end of a task is spooled after a second."""


@pytest.fixture
def alone(pool: str, tmp_path: Path) -> Iterator[Stage]:
    """A stage without any process."""
    with opened(tmp_path) as made:
        yield made


def spooled(stage: Stage) -> list[Path]:
    # A name with a dot before it is still being written: pathlib would find it too.
    return list(stage.spool.glob("[!.]*.parcel"))


def test_without_a_gateway_the_worker_appends_to_the_log_itself(alone: Stage, pool: str, account: str) -> None:
    alone.worker(pool)

    result = alone.send("progress", 2, account=account)

    assert result.get(timeout=30) == "through"
    alone.end(result.id)
    assert alone.states(result.id)[0] == "STARTED"
    assert alone.ends(account) == {result.id: ["SUCCESS"]}


def test_a_gateway_killed_between_two_results_is_replaced_by_the_other(alone: Stage, pool: str, account: str) -> None:
    gateways = [alone.gateway(), alone.gateway()]
    alone.worker(pool)
    first = alone.send("ok", 1, account=account)
    alone.end(first.id)

    gateways[0].signal(signal.SIGKILL)
    others = [alone.send("ok", n, account=account) for n in range(10)]

    for result in others:
        alone.end(result.id)
    assert alone.ends(account) == {result.id: ["SUCCESS"] for result in (first, *others)}


@pytest.mark.parametrize("gateways", [0, 1])
def test_results_wait_for_a_store_that_cannot_be_written(alone: Stage, pool: str, account: str, gateways: int) -> None:
    for _ in range(gateways):
        alone.gateway()
    worker = alone.worker(pool)
    alone.end(alone.send("ok").id)

    with read_only(alone.folder / "store.db"):
        results = [alone.send("ok", n, account=account) for n in range(4)]
        worker.wait_for("result_not_stored")
        assert alone.ends(account) == {}

    assert [result.get(timeout=30) for result in results] == [0, 1, 2, 3]
    for result in results:
        alone.end(result.id)
    assert alone.ends(account) == {result.id: ["SUCCESS"] for result in results}
    assert spooled(alone) == []


def test_past_its_deadline_a_result_is_spooled_and_the_worker_drains_it(
    tmp_path: Path, pool: str, account: str
) -> None:
    with opened(tmp_path, IMPATIENT) as stage:
        worker = stage.worker(pool)
        stage.end(stage.send("ok").id)
        with read_only(tmp_path / "store.db"):
            results = [stage.send("ok", n, account=account) for n in range(4)]
            eventually(lambda: len(spooled(stage)) == 4, what="four results in the spool")
        for result in results:
            stage.end(result.id)
        worker.wait_for("spool_drained")
        assert stage.ends(account) == {result.id: ["SUCCESS"] for result in results}
        assert results[0].get(timeout=30) == 0
        eventually(lambda: not spooled(stage), what="an empty spool")


@pytest.mark.parametrize("options", [[], ["-q"]], ids=["", "quiet"])
def test_what_a_dead_worker_spooled_the_next_one_delivers(
    tmp_path: Path, pool: str, account: str, options: list[str]
) -> None:
    with opened(tmp_path, IMPATIENT) as stage:
        worker = stage.worker(pool)
        stage.end(stage.send("ok").id)
        with read_only(tmp_path / "store.db"):
            result = stage.send("ok", "late", account=account)
            eventually(lambda: spooled(stage), what="a result in the spool")
            worker.close()

        stage.worker(pool, *options)
        stage.send("ok")

        assert stage.end(result.id)["result"] == "late"
        assert stage.ends(account) == {result.id: ["SUCCESS"]}


def test_a_hard_limit_during_an_outage_does_not_turn_a_result_into_a_failure(
    alone: Stage, pool: str, account: str
) -> None:
    alone.worker(pool)
    alone.end(alone.send("ok").id)
    with read_only(alone.folder / "store.db"):
        result = alone.send("ok", "in time", account=account, time_limit=3)
        eventually(lambda: spooled(alone), what="the result in the spool before the limit")

    assert alone.end(result.id)["result"] == "in time"
    assert alone.ends(account) == {result.id: ["SUCCESS"]}


def test_what_the_main_process_reports_during_an_outage_arrives_afterwards(
    alone: Stage, pool: str, account: str
) -> None:
    alone.worker(pool)
    alone.end(alone.send("ok").id)
    with read_only(alone.folder / "store.db"):
        result = alone.send("sleeps", 30, account=account, time_limit=1)
        eventually(lambda: spooled(alone), what="the failure in the spool")

    assert alone.end(result.id)["error"]["code"] == "time_limit"
    assert alone.ends(account) == {result.id: ["FAILURE"]}


def test_a_worker_that_stops_during_an_outage_leaves_its_results_in_the_spool(
    alone: Stage, pool: str, account: str
) -> None:
    worker = alone.worker(pool)
    alone.end(alone.send("ok").id)
    with read_only(alone.folder / "store.db"):
        result = alone.send("sleeps", 30, account=account, time_limit=1)
        worker.wait_for("Hard time limit|result_not_stored")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
        assert spooled(alone)

    alone.worker(pool)
    assert alone.end(result.id)["error"]["code"] == "time_limit"


def test_a_worker_without_the_secret_says_so_and_its_results_wait(tmp_path: Path, pool: str, account: str) -> None:
    with opened(tmp_path) as stage:
        stage.gateway()
        del stage.env["SKYHOOKS_SECRET"]
        blind = stage.worker(pool)
        result = stage.send("ok", "kept", account=account)
        blind.wait_for("secret_missing")
        assert stage.ends(account) == {}
        blind.close()

        stage.recover()
        stage.env["SKYHOOKS_SECRET"] = stage.app.conf.skyhooks_secret
        recovered: Process = stage.worker(pool)
        assert stage.end(result.id)["result"] == "kept"
        assert "secret_missing" not in recovered.output
