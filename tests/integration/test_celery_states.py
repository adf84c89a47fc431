"""Every way in which a task can end reaches its channel and its account's: once, in order, with what went wrong."""

from datetime import UTC, datetime, timedelta

import pytest
from celery.exceptions import TaskRevokedError

from tests.integration.celery_stage import Stage, account, pool, stage
from tests.processes import eventually

__all__ = ["account", "pool", "stage"]


def test_a_result_goes_to_the_task_and_the_account_and_to_celery(stage: Stage, account: str) -> None:
    result = stage.send("ok", {"answer": 42}, account=account)

    assert result.get(timeout=30) == {"answer": 42}
    end = stage.end(result.id)
    assert (end["state"], end["result"], end["account"], end["_id"]) == (
        "SUCCESS",
        {"answer": 42},
        account,
        f"{result.id}:end",
    )
    assert stage.states(result.id) == ["STARTED", "SUCCESS"]
    assert stage.events(f"accounts/{account}") == stage.events(f"tasks/{result.id}")


def test_without_an_account_only_the_task_has_a_channel(stage: Stage) -> None:
    result = stage.send("ok", 1)

    assert "account" not in stage.end(result.id)


def test_a_failure_says_what_was_raised(stage: Stage, account: str) -> None:
    result = stage.send("boom", "out of paper", account=account)

    with pytest.raises(ValueError, match="out of paper"):
        result.get(timeout=30)
    assert stage.end(result.id)["error"] == {"type": "ValueError", "message": "out of paper"}
    assert stage.ends(account) == {result.id: ["FAILURE"]}


def test_progress_comes_before_the_end_and_in_order(stage: Stage, account: str) -> None:
    result = stage.send("progress", 5, account=account)

    stage.end(result.id)
    events = stage.events(f"accounts/{account}")
    steps = [event["meta"]["step"] for event in events if event["state"] == "PROGRESS"]
    assert steps == sorted(set(steps)), "each step at most once, none out of order"
    assert steps[-1] == 4, "the newest progress is flushed before the end"
    assert [event["state"] for event in (events[0], events[-1])] == ["STARTED", "SUCCESS"]


def test_each_retry_is_told_and_the_task_ends_once(stage: Stage, account: str) -> None:
    result = stage.send("retried", 2, account=account)

    assert stage.end(result.id)["result"] == 2
    told = [event for event in stage.events(f"accounts/{account}") if event["state"] == "RETRY"]
    assert [event["_id"] for event in told] == [f"{result.id}:0:retry", f"{result.id}:1:retry"]
    assert [event["error"]["message"] for event in told] == ["try 0", "try 1"]
    assert stage.ends(account) == {result.id: ["SUCCESS"]}


@pytest.mark.parametrize(("name", "state"), [("ignored", "SUCCESS"), ("ignored_boom", "FAILURE")])
def test_a_task_with_ignored_result_publishes_its_end_for_its_account(
    stage: Stage, account: str, name: str, state: str
) -> None:
    result = stage.send(name, account=account)

    assert stage.end(result.id)["state"] == state
    assert stage.ends(account) == {result.id: [state]}
    assert stage.app.AsyncResult(result.id).state == "PENDING", "Celery stores nothing"


def test_a_task_with_ignored_result_and_no_account_publishes_nothing(stage: Stage, account: str) -> None:
    silent = stage.send("ignored")
    later = stage.send("ok", account=account)

    stage.end(later.id)
    assert stage.events(f"tasks/{silent.id}") == []


def test_what_json_cannot_carry_ends_with_a_code(stage: Stage, account: str) -> None:
    end = stage.end(stage.send("ignored_object", account=account).id)

    assert (end["state"], end["error"]["code"], "result" in end) == ("SUCCESS", "unserializable", False)


def test_a_result_that_is_too_large_ends_with_a_code_and_celery_keeps_it(stage: Stage, account: str) -> None:
    result = stage.send("large", 600_000, account=account)

    assert stage.end(result.id)["error"]["code"] == "too_large"
    assert len(result.get(timeout=30)) == 600_000


def test_an_expired_task_ends_as_revoked(stage: Stage, account: str) -> None:
    result = stage.send("ok", account=account, expires=datetime.now(UTC) - timedelta(seconds=5))

    end = stage.end(result.id)
    assert (end["state"], end["error"]["code"]) == ("REVOKED", "expired")
    assert stage.ends(account) == {result.id: ["REVOKED"]}


def test_a_revoked_task_ends_once_under_its_account(stage: Stage, account: str) -> None:
    result = stage.send("ok", account=account, countdown=60)
    eventually(lambda: _reserved(stage, result.id), what="the worker has the task")

    result.revoke()

    end = stage.end(result.id)
    assert (end["state"], end["error"]["code"]) == ("REVOKED", "revoked")
    assert stage.ends(account) == {result.id: ["REVOKED"]}
    with pytest.raises(TaskRevokedError):
        result.get(timeout=30)


def test_a_task_revoked_before_a_worker_has_it_ends_under_its_account(stage: Stage, account: str) -> None:
    task_id = f"early-{account}"
    stage.app.control.broadcast("revoke", {"task_id": task_id}, reply=True, limit=1, timeout=10)

    stage.send("ok", account=account, task_id=task_id)

    assert stage.end(task_id)["state"] == "REVOKED"
    assert stage.ends(account) == {task_id: ["REVOKED"]}


def test_a_hard_time_limit_ends_the_task(stage: Stage, account: str) -> None:
    result = stage.send("sleeps", 30, account=account, time_limit=1)

    end = stage.end(result.id)
    assert (end["state"], end["error"]["code"]) == ("FAILURE", "time_limit")
    assert stage.ends(account) == {result.id: ["FAILURE"]}


def test_an_unknown_task_ends_as_not_registered_under_its_account(stage: Stage, account: str) -> None:
    result = stage.app.send_task("nobody.knows.this", headers={"skyhooks_account": account})

    end = stage.end(result.id)
    assert (end["state"], end["task"], end["error"]["code"]) == ("FAILURE", "nobody.knows.this", "not_registered")
    assert stage.ends(account) == {result.id: ["FAILURE"]}


def test_an_unknown_task_without_an_account_ends_in_its_own_channel(stage: Stage) -> None:
    assert stage.end(stage.app.send_task("nobody.knows.this").id)["error"]["code"] == "not_registered"


def _reserved(stage: Stage, task_id: str) -> bool:
    found = stage.app.control.inspect(timeout=1).query_task(task_id) or {}
    return any(task_id in tasks for tasks in found.values())
