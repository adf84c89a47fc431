"""The table: every way in which a task can go, and the publications in which that ends.

A case is a generator. Up to its ``yield`` it submits, for an account of its own; after it, it says what must be there
by then. So all cases of a pool run at the same time, as tasks do.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import pytest
from celery import chain, chord, group
from celery.exceptions import TaskRevokedError

import skyhooks
from tests.integration.pool_stage import PoolStage
from tests.processes import eventually

POOLS: Final = ("gevent", "prefork", "threads", "solo")

Steps = Iterator[None]
Body = Callable[[PoolStage, str], Steps]


class Case(NamedTuple):
    """What to do, and the pools in which it can happen."""

    body: Body
    pools: tuple[str, ...]


CASES: Final[dict[str, Case]] = {}


def case(*pools: str) -> Callable[[Body], Body]:
    """Put a case into the table, for some pools or for all."""

    def enter(body: Body) -> Body:
        CASES[body.__name__] = Case(body, pools or POOLS)
        return body

    return enter


def ends_once(stage: PoolStage, account: str, **ends: str) -> None:
    """Each of these tasks has one end in its channel and in the account's, and nothing else has one there.

    Whatever was published has the id that its state asks for (design, section 8).
    """
    for task_id in ends:
        stage.end(task_id)
    assert stage.ends(account) == {task_id: [state] for task_id, state in ends.items()}
    seen = stage.events(f"accounts/{account}")
    for task_id, state in ends.items():
        events = stage.events(f"tasks/{task_id}")
        assert [event["state"] for event in events if event.get("end")] == [state]
        assert events == [event for event in seen if event["task_id"] == task_id]
        assert {event["account"] for event in events} == {account}
        for event in events:
            assert re.fullmatch(_id_of(event), event["_id"]), event


def _id_of(event: dict[str, Any]) -> str:
    name = re.escape(event["task_id"])
    if event.get("end"):
        return f"{name}:end"
    return rf"{name}:\d+:retry" if event["state"] == "RETRY" else rf"{name}:[0-9a-f]{{12}}:\d+"


def steps_of(result: Any) -> list[str]:
    """The ids of a chain's tasks, first to last."""
    found: list[str] = []
    while result is not None:
        found.insert(0, result.id)
        result = result.parent
    return found


# What must reach an idle worker comes first.


@case()
def revoked_before_it_is_submitted(stage: PoolStage, account: str) -> Steps:
    task_id = f"early-{account}"
    stage.app.control.broadcast("revoke", {"task_id": task_id}, reply=True, limit=1, timeout=20)
    stage.send("ok", account=account, task_id=task_id)
    yield
    assert stage.end(task_id)["error"]["code"] == "revoked"
    ends_once(stage, account, **{task_id: "REVOKED"})


@case()
def revoked_while_it_waits(stage: PoolStage, account: str) -> Steps:
    result = stage.send("ok", account=account, countdown=2)
    stage.app.control.broadcast("revoke", {"task_id": result.id}, reply=True, limit=1, timeout=20)
    yield
    assert stage.end(result.id)["error"]["code"] == "revoked"
    assert stage.states(result.id) == ["REVOKED"]
    ends_once(stage, account, **{result.id: "REVOKED"})
    with pytest.raises(TaskRevokedError):
        result.get(timeout=30)


@case("prefork", "gevent")
def revoked_while_it_runs(stage: PoolStage, account: str) -> Steps:
    """Threads cannot be ended from outside, and a solo worker hears of it when the task is done."""
    result = stage.send("sleeps", 60, account=account)
    yield
    eventually(lambda: stage.states(result.id) == ["STARTED"], what="the task runs")
    result.revoke(terminate=True)
    assert stage.end(result.id)["error"]["code"] == "terminated"
    ends_once(stage, account, **{result.id: "REVOKED"})


@case("prefork", "gevent", "threads")
def revoked_too_late(stage: PoolStage, account: str) -> Steps:
    """Without ``terminate`` a task that runs goes on."""
    result = stage.send("progress", 3, 0.5, account=account)
    eventually(lambda: stage.states(result.id), what="the task runs")
    result.revoke()
    yield
    ends_once(stage, account, **{result.id: "SUCCESS"})


@case()
def success(stage: PoolStage, account: str) -> Steps:
    result = stage.send("ok", {"answer": 42}, account=account)
    yield
    assert stage.end(result.id)["result"] == {"answer": 42}
    assert stage.states(result.id) == ["STARTED", "SUCCESS"]
    ends_once(stage, account, **{result.id: "SUCCESS"})
    assert result.get(timeout=30) == {"answer": 42}


@case()
def failure(stage: PoolStage, account: str) -> Steps:
    result = stage.send("boom", "out of paper", account=account)
    yield
    assert stage.end(result.id)["error"] == {"type": "ValueError", "message": "out of paper"}
    assert stage.states(result.id) == ["STARTED", "FAILURE"]
    ends_once(stage, account, **{result.id: "FAILURE"})
    with pytest.raises(ValueError, match="out of paper"):
        result.get(timeout=30)


@case()
def retries(stage: PoolStage, account: str) -> Steps:
    result = stage.send("retried", 2, account=account)
    yield
    assert stage.end(result.id)["result"] == 2
    told = [event["_id"] for event in stage.events(f"tasks/{result.id}") if event["state"] == "RETRY"]
    # Celery sends the message before it tells, so the next run may have begun; what an older one says is then dropped.
    assert set(told) <= {f"{result.id}:{number}:retry" for number in range(2)}
    assert told == sorted(set(told))
    ends_once(stage, account, **{result.id: "SUCCESS"})


@case()
def a_retry_after_less_than_a_second(stage: PoolStage, account: str) -> Steps:
    result = stage.call("retried_soon", 0.9, account=account)
    yield
    assert stage.end(result.id)["result"] == 1
    told = [event for event in stage.events(f"tasks/{result.id}") if event["state"] == "RETRY"]
    assert [(event["_id"], event["error"]["message"]) for event in told] == [(f"{result.id}:0:retry", "not yet")]
    ends_once(stage, account, **{result.id: "SUCCESS"})


@case()
def progress(stage: PoolStage, account: str) -> Steps:
    result = stage.send("progress", 5, account=account)
    yield
    stage.end(result.id)
    steps = [event["meta"]["step"] for event in stage.events(f"tasks/{result.id}") if event["state"] == "PROGRESS"]
    assert steps == sorted(set(steps))
    assert steps[-1] == 4
    ends_once(stage, account, **{result.id: "SUCCESS"})


@case()
def custom_states(stage: PoolStage, account: str) -> Steps:
    result = stage.call("custom_states", account=account)
    yield
    stage.end(result.id)
    assert stage.states(result.id) == ["STARTED", "MIXING", "BAKING", "SUCCESS"]
    assert stage.events(f"tasks/{result.id}")[1]["meta"] == {"oven": "mixing"}
    ends_once(stage, account, **{result.id: "SUCCESS"})


@case()
def an_ignored_result(stage: PoolStage, account: str) -> Steps:
    told = [stage.send("ignored", 7, account=account), stage.send("ignored_boom", account=account)]
    silent = stage.send("ignored", 7)
    yield
    ends_once(stage, account, **{told[0].id: "SUCCESS", told[1].id: "FAILURE"})
    assert [stage.app.AsyncResult(one.id).state for one in told] == ["PENDING", "PENDING"]
    assert stage.events(f"tasks/{silent.id}") == []


@case()
def an_eager_task(stage: PoolStage, account: str) -> Steps:
    result = stage.call("eager", f"plain-{account}", f"stored-{account}", account=account)
    yield
    assert stage.end(result.id)["result"] == ["plain", "stored"]
    ends_once(stage, account, **{result.id: "SUCCESS", f"stored-{account}": "SUCCESS"})
    assert stage.events(f"tasks/plain-{account}") == []


@case()
def expired(stage: PoolStage, account: str) -> Steps:
    result = stage.send("ok", account=account, expires=datetime.now(UTC) - timedelta(seconds=5))
    yield
    assert stage.end(result.id)["error"]["code"] == "expired"
    assert stage.states(result.id) == ["REVOKED"]
    ends_once(stage, account, **{result.id: "REVOKED"})


@case()
def not_registered(stage: PoolStage, account: str) -> Steps:
    result = stage.app.send_task("nobody.knows.this", headers={"skyhooks_account": account})
    yield
    assert stage.end(result.id)["error"]["code"] == "not_registered"
    assert stage.states(result.id) == ["FAILURE"]
    ends_once(stage, account, **{result.id: "FAILURE"})


@case()
def rejected(stage: PoolStage, account: str) -> Steps:
    result = stage.call("rejected", account=account)
    yield
    ends_once(stage, account, **{result.id: "FAILURE"})


@case("prefork", "gevent")
def a_hard_time_limit(stage: PoolStage, account: str) -> Steps:
    result = stage.send("sleeps", 60, account=account, time_limit=1)
    yield
    assert stage.end(result.id)["error"]["code"] == "time_limit"
    ends_once(stage, account, **{result.id: "FAILURE"})


@case("threads", "solo")
def a_time_limit_that_nobody_enforces(stage: PoolStage, account: str) -> Steps:
    """Neither pool can interrupt a task, so it has its result."""
    result = stage.send("sleeps", 1.5, account=account, time_limit=1, soft_time_limit=1)
    yield
    ends_once(stage, account, **{result.id: "SUCCESS"})


@case("prefork")
def a_soft_time_limit(stage: PoolStage, account: str) -> Steps:
    """It is a signal, and so only prefork has it."""
    results = [stage.send(name, 60, account=account, soft_time_limit=1) for name in ("sleeps", "patient")]
    yield
    assert stage.end(results[0].id)["error"]["code"] == "soft_time_limit"
    assert stage.end(results[1].id)["result"] == "cleaned up"
    ends_once(stage, account, **{results[0].id: "FAILURE", results[1].id: "SUCCESS"})


@case("prefork")
def a_lost_process(stage: PoolStage, account: str) -> Steps:
    """The other pools have one process: what becomes of its tasks is in test_brokers.py."""
    survivor = stage.send("killed_once", str(stage.folder / f"marker-{account}"), account=account)
    lost = stage.send("killed", account=account)
    yield
    assert stage.end(survivor.id)["result"] == "survived"
    assert stage.end(lost.id)["error"]["code"] == "worker_lost"
    ends_once(stage, account, **{survivor.id: "SUCCESS", lost.id: "FAILURE"})


@case()
def a_chain(stage: PoolStage, account: str) -> Steps:
    with skyhooks.account(account):
        good = chain(stage.signature("ok", 1), stage.signature("ok"), stage.signature("ok")).apply_async()
        bad = chain(stage.signature("boom"), stage.signature("ok")).apply_async()
    yield
    assert good.get(timeout=30) == 1
    ends = dict.fromkeys(steps_of(good), "SUCCESS") | dict.fromkeys(steps_of(bad), "FAILURE")
    ends_once(stage, account, **ends)


@case()
def a_group(stage: PoolStage, account: str) -> Steps:
    with skyhooks.account(account):
        result = group(stage.signature("ok", number) for number in range(3)).apply_async()
    yield
    assert result.get(timeout=30) == [0, 1, 2]
    ends_once(stage, account, **{member.id: "SUCCESS" for member in result.results})


@case()
def a_chord(stage: PoolStage, account: str) -> Steps:
    with skyhooks.account(account):
        result = chord([stage.signature("ok", number) for number in range(3)], stage.signature("add")).apply_async()
    yield
    assert result.get(timeout=30) == 3
    ends_once(stage, account, **{one.id: "SUCCESS" for one in (result, *result.parent.results)})


@case()
def a_chord_with_a_failure(stage: PoolStage, account: str) -> Steps:
    header = [stage.signature("ok", 1), stage.signature("boom")]
    with skyhooks.account(account):
        result = chord(header, stage.signature("add")).apply_async()
    yield
    assert stage.end(result.id)["error"]["code"] == "chord"
    first, second = result.parent.results
    ends_once(stage, account, **{result.id: "FAILURE", first.id: "SUCCESS", second.id: "FAILURE"})


@case()
def a_nested_call(stage: PoolStage, account: str) -> Steps:
    result = stage.send("nested", "inner", account=account)
    yield
    inner = stage.end(result.id)["result"]
    ends_once(stage, account, **{result.id: "SUCCESS", inner: "SUCCESS"})


@case()
def a_replaced_task(stage: PoolStage, account: str) -> Steps:
    result = stage.send("replaced", "instead", account=account)
    by_group = stage.send("replaced_by_group", [1, 2], account=f"{account}-group")
    yield
    assert stage.end(result.id)["result"] == "instead"
    ends_once(stage, account, **{result.id: "SUCCESS"})
    assert stage.end(by_group.id)["result"] == [1, 2]
    assert sorted(stage.ends(f"{account}-group").values()) == [["SUCCESS"]] * 3


@case()
def an_eta(stage: PoolStage, account: str) -> Steps:
    at = datetime.now(UTC) + timedelta(seconds=2.5)
    results = [stage.send("ok", account=account, eta=at), stage.send("ok", account=account, countdown=0.3)]
    yield
    ends_once(stage, account, **{one.id: "SUCCESS" for one in results})
    # Celery converts the ETA to the monotonic clock, which drifts from the one that it was given by.
    assert stage.events(f"tasks/{results[0].id}")[0]["at"] >= at.timestamp() - 0.1


@case()
def a_task_of_beat(stage: PoolStage, account: str) -> Steps:
    beat = stage.beat(account)
    yield
    eventually(lambda: len(stage.ends(account)) >= 2, what="two tasks of beat")
    beat.close()
    # Some may be on their way still.
    ends = stage.ends(account)
    assert set(map(tuple, ends.values())) == {("SUCCESS",)}
    assert [stage.states(task_id)[-1] for task_id in ends] == ["SUCCESS"] * len(ends)
