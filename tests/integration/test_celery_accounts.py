"""An account reaches every task that a submission leads to: chains, groups, chords, nested calls, replacements."""

from typing import Any

import pytest
from celery import chain, chord, group

import skyhooks
from skyhooks import Refused
from tests.integration.celery_stage import TASKS, Stage, account, pool, stage
from tests.processes import eventually

__all__ = ["account", "pool", "stage"]


def finished(stage: Stage, account: str, *task_ids: str) -> None:
    """Each of these tasks ends once, as a success, in the account's channel, and nothing else does."""
    for task_id in task_ids:
        stage.end(task_id)
    assert stage.ends(account) == {task_id: ["SUCCESS"] for task_id in task_ids}


def task_ids(result: Any) -> list[str]:
    """The ids of a chain's steps, first to last."""
    found = []
    while result is not None:
        found.insert(0, result.id)
        result = result.parent
    return found


def test_the_context_gives_the_account(stage: Stage, account: str) -> None:
    with skyhooks.account(account):
        result = stage.send("ok", 1)

    finished(stage, account, result.id)


def test_a_number_and_its_text_are_one_account(stage: Stage, account: str) -> None:
    number = int(account.removeprefix("acct-"), 16)

    finished_ids = [stage.send("ok", account=number).id, stage.send("ok", account=str(number)).id]

    finished(stage, str(number), *finished_ids)


def test_an_explicit_header_wins_over_the_context(stage: Stage, account: str) -> None:
    with skyhooks.account("somebody-else"):
        result = stage.send("ok", account=account)

    finished(stage, account, result.id)


def test_the_context_wins_over_a_stamp(stage: Stage, account: str) -> None:
    signature = stage.signature("ok", 1)
    signature.stamp(skyhooks_account="somebody-else")
    with skyhooks.account(account):
        result = signature.apply_async()

    finished(stage, account, result.id)


def test_the_inner_context_counts_and_the_outer_one_comes_back(stage: Stage, account: str) -> None:
    with skyhooks.account(account):
        with skyhooks.account(f"{account}-inner"):
            inner = stage.send("ok", 1)
        outer = stage.send("ok", 2)

    finished(stage, account, outer.id)
    finished(stage, f"{account}-inner", inner.id)


@pytest.mark.parametrize("how", ["context", "header", "stamp"])
def test_every_step_of_a_chain_has_the_account(stage: Stage, account: str, how: str) -> None:
    steps = chain(stage.signature("ok", 1), stage.signature("ok"), stage.signature("ok"))
    finished(stage, account, *task_ids(_submit(steps, account, how)))


@pytest.mark.parametrize("how", ["context", "header", "stamp"])
def test_every_member_of_a_group_has_the_account(stage: Stage, account: str, how: str) -> None:
    result = _submit(group(stage.signature("ok", n) for n in range(3)), account, how)
    finished(stage, account, *(member.id for member in result.results))


@pytest.mark.parametrize("how", ["context", "header", "stamp"])
def test_a_chord_and_its_body_have_the_account(stage: Stage, account: str, how: str) -> None:
    result = _submit(chord([stage.signature("ok", n) for n in range(3)], stage.signature("add")), account, how)

    assert result.get(timeout=30) == 3
    finished(stage, account, result.id, *(member.id for member in result.parent.results))


@pytest.mark.parametrize("how", ["context", "header", "stamp"])
def test_a_nested_call_has_the_account(stage: Stage, account: str, how: str) -> None:
    result = _submit(stage.signature("nested", "inner"), account, how)

    finished(stage, account, result.id, result.get(timeout=30))


@pytest.mark.parametrize("how", ["context", "header", "stamp"])
def test_a_replaced_task_ends_once_with_the_account(stage: Stage, account: str, how: str) -> None:
    result = _submit(stage.signature("replaced", "instead"), account, how)

    assert result.get(timeout=30) == "instead"
    finished(stage, account, result.id)


def test_a_task_replaced_by_a_group_ends_with_its_results(stage: Stage, account: str) -> None:
    with skyhooks.account(account):
        result = stage.send("replaced_by_group", [1, 2])

    assert stage.end(result.id)["result"] == [1, 2]
    assert sorted(stage.ends(account).values()) == [["SUCCESS"]] * 3


def test_a_task_replaced_after_retries_is_not_taken_for_an_older_run(stage: Stage, account: str) -> None:
    result = stage.send("replaced_after_retry", account=account)

    assert stage.end(result.id)["error"]["message"] == "the replacement failed"
    assert stage.ends(account) == {result.id: ["FAILURE"]}


def test_a_retried_task_keeps_the_account(stage: Stage, account: str) -> None:
    with skyhooks.account(account):
        result = stage.send("retried", 1)

    finished(stage, account, result.id)


def test_the_steps_after_a_failed_one_end_with_it(stage: Stage, account: str) -> None:
    with skyhooks.account(account):
        last = chain(stage.signature("boom"), stage.signature("ok"), stage.signature("ok")).apply_async()

    for task_id in task_ids(last):
        assert stage.end(task_id)["account"] == account
    assert stage.ends(account) == {task_id: ["FAILURE"] for task_id in task_ids(last)}


def test_the_steps_after_a_failed_one_end_with_it_even_if_nobody_stores_results(stage: Stage, account: str) -> None:
    with skyhooks.account(account):
        last = chain(stage.signature("ignored_boom"), stage.signature("ignored")).apply_async()

    for task_id in task_ids(last):
        stage.end(task_id)
    assert stage.ends(account) == {task_id: ["FAILURE"] for task_id in task_ids(last)}


def test_the_steps_after_one_that_hit_its_hard_limit_end_with_it(stage: Stage, account: str) -> None:
    with skyhooks.account(account):
        slow = stage.signature("sleeps", 30).set(time_limit=1)
        last = chain(slow, stage.signature("ok")).apply_async()

    for task_id in task_ids(last):
        assert stage.end(task_id)["account"] == account
    assert stage.ends(account) == {task_id: ["FAILURE"] for task_id in task_ids(last)}


def test_the_body_of_a_failed_chord_ends_with_the_account(stage: Stage, account: str) -> None:
    with skyhooks.account(account):
        result = chord([stage.signature("ok", 1), stage.signature("boom")], stage.signature("add")).apply_async()

    end = stage.end(result.id)
    assert (end["state"], end["account"], end["error"]["code"]) == ("FAILURE", account, "chord")
    assert sorted(stage.ends(account).values()) == [["FAILURE"], ["FAILURE"], ["SUCCESS"]]


def test_an_error_callback_has_the_account(stage: Stage, account: str) -> None:
    callback = stage.signature("ok")
    with skyhooks.account(account):
        failed = stage.signature("boom").apply_async(link_error=callback)

    stage.end(failed.id)
    ends = eventually(lambda: (found := stage.ends(account)) and len(found) == 2 and found)
    assert sorted(ends.values()) == [["FAILURE"], ["SUCCESS"]]


@pytest.mark.parametrize("bad", ["", "a b", "a/b", "x" * 129, "..", "é", 1.5, True])
def test_a_name_that_cannot_be_an_account_is_refused_at_submission(stage: Stage, bad: Any) -> None:
    with pytest.raises(Refused, match="bad_account"):
        stage.send("ok", account=bad)
    with pytest.raises(Refused, match="bad_account"), skyhooks.account(bad):
        pass
    stamped = stage.signature("ok")
    stamped.stamp(skyhooks_account=bad)
    with pytest.raises(Refused, match="bad_account"):
        stamped.apply_async()


def test_a_task_of_another_sender_with_a_bad_account_runs_without_one(stage: Stage, account: str) -> None:
    with stage.app.connection_for_write() as connection:
        body = [[], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
        connection.Producer().publish(
            body,
            routing_key="celery",
            headers={"lang": "py", "task": f"{TASKS}.ok", "id": account, "skyhooks_account": "not an account"},
            correlation_id=account,
            serializer="json",
        )

    assert "account" not in stage.end(account)


def _submit(signature: Any, account: str, how: str) -> Any:
    if how == "header":
        return signature.apply_async(headers={"skyhooks_account": account})
    if how == "stamp":
        signature.stamp(skyhooks_account=account)
        return signature.apply_async()
    with skyhooks.account(account):
        return signature.apply_async()
