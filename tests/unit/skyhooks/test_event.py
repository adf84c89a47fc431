"""What is published of a task: the fields, and what happens to values that cannot be published."""

import math
from typing import Any

import msgspec
import pytest

from skyhooks.event import MAX_MESSAGE, TaskEvent, encode_event, encode_task_webhook, event_of, refused_webhook
from skyhooks.publication import TaskMark
from skyhooks.webhook import draft_of, parse_webhook

MARK = TaskMark("run", 0, "SUCCESS")


def published(state: str, value: Any, limit: int = 10_000, **fields: Any) -> dict[str, Any]:
    event = event_of(state, value, **{"task_id": "t1", "task": "shop.charge", "at": 12.5, **fields})
    decoded: dict[str, Any] = msgspec.json.decode(encode_event(event, limit))
    return decoded


def test_a_success_carries_its_result_even_when_it_is_none() -> None:
    assert published("SUCCESS", None, account="acme", retries=2) == {
        "task_id": "t1",
        "task": "shop.charge",
        "state": "SUCCESS",
        "at": 12.5,
        "retries": 2,
        "account": "acme",
        "result": None,
        "end": True,
    }


def test_a_state_of_the_tasks_own_carries_its_meta_and_is_no_end() -> None:
    assert published("PROGRESS", {"done": 3}) == {
        "task_id": "t1",
        "task": "shop.charge",
        "state": "PROGRESS",
        "at": 12.5,
        "retries": 0,
        "meta": {"done": 3},
    }


def test_what_celery_stores_for_started_is_not_published() -> None:
    assert "meta" not in published("STARTED", {"pid": 1, "hostname": "inside"})


@pytest.mark.parametrize(("state", "end"), [("FAILURE", True), ("REVOKED", True), ("RETRY", False)])
def test_an_exception_becomes_an_error(state: str, end: bool) -> None:
    event = published(state, KeyError("x"))

    assert event["error"] == {"type": "KeyError", "message": "'x'"}
    assert event.get("end", False) is end


def test_the_exceptions_of_celery_have_codes() -> None:
    class WorkerLostError(Exception):
        pass

    WorkerLostError.__qualname__ = "WorkerLostError"
    assert published("FAILURE", WorkerLostError())["error"]["code"] == "worker_lost"


def test_a_code_that_is_given_counts() -> None:
    assert published("REVOKED", ValueError("late"), code="expired")["error"]["code"] == "expired"


def test_a_failure_that_a_task_reports_itself_is_read_as_celery_writes_it() -> None:
    event = published("FAILURE", {"exc_type": "Broken", "exc_message": ["a", 1]})

    assert event["error"] == {"type": "Broken", "message": "a, 1"}


@pytest.mark.parametrize("value", [object(), {(1, 2): 3}, "\ud800", ValueError("x")])
def test_a_result_that_json_cannot_carry_is_replaced_by_an_error(value: Any) -> None:
    event = published("SUCCESS", [value])

    assert event["error"]["code"] == "unserializable"
    assert "result" not in event
    assert event["end"] is True


def test_an_endless_result_is_replaced_by_an_error() -> None:
    endless: list[Any] = []
    endless.append(endless)

    assert published("SUCCESS", endless)["error"]["code"] == "unserializable"


def test_numbers_that_json_does_not_have_become_null() -> None:
    assert published("SUCCESS", [math.nan, math.inf])["result"] == [None, None]


def test_a_result_above_the_limit_is_replaced_by_an_error_that_names_the_setting() -> None:
    event = published("SUCCESS", "x" * 300, limit=200)

    assert event["error"]["code"] == "too_large"
    assert "skyhooks_max_result_bytes" in event["error"]["message"]
    assert "result" in published("SUCCESS", "x" * 50, limit=200)


def test_an_errors_message_is_cut_and_clean() -> None:
    assert len(published("FAILURE", ValueError("y" * 20_000), limit=20_000)["error"]["message"]) == MAX_MESSAGE
    assert published("FAILURE", ValueError("\ud800"))["error"]["message"] == "?"


def test_an_exception_that_cannot_be_shown_is_published_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "RuntimeError" in published("FAILURE", Mute())["error"]["message"]


def test_a_webhook_goes_to_the_task_and_the_account() -> None:
    event = TaskEvent(task_id="t1", task="x", state="SUCCESS", at=1.0, account="acme", result=1, end=True)

    draft = draft_of(parse_webhook(encode_task_webhook(event, "t1:end", MARK, 1000)), "")

    assert (draft.id, draft.channels, draft.task) == ("t1:end", ("tasks/t1", "accounts/acme"), MARK)


def test_a_task_id_that_is_no_channel_leaves_the_account() -> None:
    event = TaskEvent(task_id="a task", task="x", state="SUCCESS", at=1.0, account="acme")

    assert parse_webhook(encode_task_webhook(event, "id", MARK, 1000)).keys == {"account_id": "acme"}
    silent = msgspec.structs.replace(event, account="")
    assert encode_task_webhook(silent, "id", MARK, 1000) == b""


def test_a_refused_webhook_is_replaced_by_its_error_with_the_same_id() -> None:
    event = TaskEvent(task_id="t1", task="x", state="SUCCESS", at=1.0, account="acme", result="secret", end=True)

    replaced = parse_webhook(refused_webhook(encode_task_webhook(event, "t1:end", MARK, 1000), "too_large", "no"))

    assert (replaced.id, replaced.task, replaced.keys) == ("t1:end", MARK, {"task_id": "t1", "account_id": "acme"})
    assert msgspec.json.decode(replaced.data)["error"] == {"type": "Refused", "message": "no", "code": "too_large"}
    assert b"secret" not in bytes(replaced.data)
