"""What a publication about a task says: the JSON that subscribers get as ``data``.

::

    {"task_id": "3f2c…", "task": "shop.charge", "state": "SUCCESS", "at": 1764000000.25, "account": "acme",
     "retries": 0, "result": 42, "end": true}
 The fields are those of `TaskEvent`. A result that JSON cannot carry, or that is too large, is replaced by an
``error`` with a code; Celery's own copy of the result is not touched by that. Pure: time arrives as an argument.
"""

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from skyhooks.channel import task_channel
from skyhooks.errors import Refused
from skyhooks.publication import READY_STATES, TaskMark
from skyhooks.webhook import encode_webhook, parse_webhook

MAX_MESSAGE: Final = 8192
"""Characters of an error's message; longer ones are cut and end with an ellipsis."""

STATE_CODES: Final = {
    "TimeLimitExceeded": "time_limit",
    "SoftTimeLimitExceeded": "soft_time_limit",
    "WorkerLostError": "worker_lost",
    "NotRegistered": "not_registered",
    "ChordError": "chord",
    "TaskRevokedError": "revoked",
}
"""The codes of Celery's own exceptions, by class name."""


class TaskError(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong.

    `type` is the exception's class, `message` its text (at most 8,192 characters). `code` is stable and meant for
    programs; it is there when Celery or skyhooks ended the task or replaced its result, not for the task's own
    exceptions: ``time_limit``, ``soft_time_limit``, ``worker_lost``, ``not_registered``, ``chord``, ``revoked``,
    ``expired``, ``terminated``, ``deadline`` (no end was heard of in time), ``unserializable`` (JSON cannot carry the
    result), ``too_large``, or the code with which a gateway refused it.
    """

    type: str
    message: str
    code: str = ""


class TaskEvent(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One thing that happened to a task.

    - `task_id`, `task`: Celery's id and the task's name (empty where Celery does not say).
    - `state`: Celery's state: STARTED, RETRY, SUCCESS, FAILURE, REVOKED, or one of the task's own such as PROGRESS.
    - `at`: when it happened, in seconds since 1970 by the worker's clock.
    - `account`: for whom the task runs; absent without one.
    - `retries`: how often the task had been retried before this execution.
    - `meta`: what the task gave to ``update_state``; only with states of the task's own.
    - `result`: the return value; only with SUCCESS, and then always, unless `error` says why not.
    - `error`: with FAILURE, RETRY and REVOKED, and with SUCCESS whose result could not be published.
    - `end`: true when the task does nothing more after this; absent otherwise.
    """

    task_id: str
    task: str
    state: str
    at: float
    retries: int | UnsetType = UNSET
    account: str = ""
    meta: Any = UNSET
    result: Any = UNSET
    error: TaskError | UnsetType = UNSET
    end: bool = False


def event_of(
    state: str,
    value: Any,
    *,
    task_id: str,
    task: str = "",
    at: float,
    retries: int = 0,
    account: str = "",
    code: str = "",
) -> TaskEvent:
    """The event for a state and the value that Celery's backend got with it: a result, an exception or meta.

    `code` is the error's code where the exception's class does not tell it.
    """
    fields: dict[str, Any] = {}
    if state == "SUCCESS":
        fields["result"] = value
    elif isinstance(value, BaseException):
        fields["error"] = error_of(value, code)
    elif state in READY_STATES or state == "RETRY":
        fields["error"] = _error_of_meta(value, code)
    elif state != "STARTED" and value is not None:
        fields["meta"] = value
    return TaskEvent(
        task_id=task_id,
        task=task,
        state=state,
        at=at,
        retries=retries,
        account=account,
        end=state in READY_STATES,
        **fields,
    )


def error_of(error: BaseException, code: str = "") -> TaskError:
    """What is published of an exception."""
    kind = type(error).__qualname__
    try:
        message = str(error)
    except Exception as broken:  # any class may have a broken __str__
        message = f"({type(broken).__name__} while reading the message)"
    return TaskError(kind, _cut(message), code or STATE_CODES.get(kind, ""))


def encode_event(event: TaskEvent, limit: int) -> bytes:
    """`event` as compact JSON of at most about `limit` bytes.

    A result or meta that JSON cannot carry, or that makes the event longer than `limit`, is left out and `error` says
    so. NaN and infinities become null, which is what JSON has for them.
    """
    try:
        data = msgspec.json.encode(event)
    except Exception as error:  # a task may return any object, and any of them may fail in its own way
        return _without_value(event, TaskError(type(error).__name__, _cut(str(error)), "unserializable"))
    if len(data) <= limit:
        return data
    explanation = f"the publication has {len(data)} bytes, and skyhooks_max_result_bytes is {limit}"
    return _without_value(event, TaskError("TooLarge", explanation, "too_large"))


def encode_task_webhook(event: TaskEvent, publication_id: str, mark: TaskMark, limit: int) -> bytes:
    """The webhook for an event, as one line of JSON: into the task's channel and, with an account, into the account's.

    Empty when there is no channel for it: the task id cannot be part of a channel's name and there is no account.
    """
    keys: dict[str, str | int] = {"account_id": event.account} if event.account else {}
    data = msgspec.Raw(encode_event(event, limit))
    try:
        task_channel(event.task_id)
    except Refused:
        return encode_webhook(keys, data, publication_id) if keys else b""
    return encode_webhook({"task_id": event.task_id, **keys}, data, publication_id, mark)


def refused_webhook(line: bytes, code: str, detail: str) -> bytes:
    """A webhook that takes the place of one that was refused for good: the same event, with an error instead of its
    value.
    """
    webhook = parse_webhook(line)
    event = msgspec.json.decode(webhook.data, type=TaskEvent)
    data = msgspec.Raw(_without_value(event, TaskError("Refused", _cut(detail), code)))
    return encode_webhook(webhook.keys, data, webhook.id, webhook.task)


def _without_value(event: TaskEvent, error: TaskError) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(event, meta=UNSET, result=UNSET, error=error))


def _error_of_meta(value: Any, code: str) -> TaskError:
    """The error of a failure that a task reported by ``update_state``, with Celery's ``exc_type`` and ``exc_message``.

    The value may as well be anything else.
    """
    if not isinstance(value, dict):
        return TaskError("", "" if value is None else _cut(str(value)), code)
    message = value.get("exc_message", "")
    if isinstance(message, list | tuple):
        message = ", ".join(map(str, message))
    return TaskError(str(value.get("exc_type", "")), _cut(str(message)), code)


def _cut(text: str) -> str:
    # What UTF-8 cannot carry (lone surrogates) must not make the error itself unserializable.
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return clean if len(clean) <= MAX_MESSAGE else f"{clean[: MAX_MESSAGE - 1]}…"
