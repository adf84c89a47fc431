"""For whom a task runs: the account, and how it travels from the caller through everything a task starts.

The account of a task is, in this order: the message header ``skyhooks_account`` given explicitly, the innermost
``with skyhooks.account(…)`` around the submission, the stamp ``skyhooks_account``, and the account of the task that
submits it. The first that applies is written into the header, so that a worker reads one place. Celery keeps headers
on a retry, but not on the later steps of a chain, in nested calls, in ``replace`` and on the body of a chord; there
the submitting task has it.
"""

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import structlog
from celery import signals
from celery._state import _task_stack

from skyhooks.channel import account_name
from skyhooks.errors import Refused

log = structlog.get_logger()

HEADER: Final = "skyhooks_account"

_current: ContextVar[str] = ContextVar("skyhooks_account", default="")
_origin: ContextVar[str] = ContextVar("skyhooks_origin", default="")


@contextmanager
def account(name: str | int) -> Iterator[str]:
    """Submit tasks for an account: ``with skyhooks.account("acme"): charge.delay(…)``.

    Works in threads, asyncio and greenlets, each for itself; the innermost one counts. Raises `Refused`
    (``bad_account``) unless the name is 1 to 128 letters, digits and ``. _ - : @``, or an integer.
    """
    listen()
    token = _current.set(account_name(name))
    try:
        yield _current.get()
    finally:
        _current.reset(token)


@contextmanager
def on_behalf_of(name: str) -> Iterator[None]:
    """What Celery submits inside has this account, if no better one applies: for the worker's main process, which
    runs no task.
    """
    token = _origin.set(name)
    try:
        yield
    finally:
        _origin.reset(token)


def listen() -> None:
    """Write the account into the header of every message this process sends. Calling it again changes nothing."""
    signals.before_task_publish.connect(_write_header, weak=False, dispatch_uid="skyhooks.account")


def account_of(request: Any) -> str:
    """The account a request carries in its header or stamps; empty without one.

    A name that cannot be one, from a sender that did not ask skyhooks, counts as none and is said in the log.
    """
    for given in _given(request):
        try:
            return account_name(given)
        except Refused as refused:
            log.error("account_refused", detail=refused.detail, task_id=getattr(request, "id", None))
    return ""


def surrounding_account() -> str:
    """The account of the task that runs here and now, else of what the main process is reporting; empty without one.

    An eager task has no message: what counts for it is the context, and then the task that runs it.
    """
    for task in reversed(_task_stack.stack):
        found = account_of(task.request)
        eager = bool(getattr(task.request, "is_eager", False))
        if not found and eager:
            found = _current.get()
        if not found and task.name == "celery.chord_unlock":
            # Submitted before its header's tasks, so their stamps are not in its message.
            find = getattr(task.backend, "chord_account", None)
            found = find(task.request) if find else ""
        if found:
            return found
        if not eager:
            break
    return _origin.get()


def guard(app: Any) -> None:
    """Have submissions through `app` raise `Refused` (``bad_account``) for a header that cannot be an account.

    Celery catches what a receiver of ``before_task_publish`` raises, so the check goes around the function that sends
    it.
    """
    send = app.amqp.send_task_message
    if getattr(send, "skyhooks", False):
        return

    @functools.wraps(send)
    def checked(producer: Any, name: str, message: Any, *args: Any, headers: Any = None, **kwargs: Any) -> Any:
        for given in ((headers or {}).get(HEADER), _first((message.headers.get("stamps") or {}).get(HEADER))):
            if given is not None:
                account_name(given)
        return send(producer, name, message, *args, headers=headers, **kwargs)

    checked.skyhooks = True  # type: ignore[attr-defined]
    app.amqp.send_task_message = checked


def _write_header(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Receiver of Celery's ``before_task_publish``."""
    if headers is None:
        return
    if headers.get(HEADER) is not None:
        headers[HEADER] = account_name(headers[HEADER])
        return
    stamp = _first((headers.get("stamps") or {}).get(HEADER))
    found = _current.get() or (account_name(stamp) if stamp is not None else "") or surrounding_account()
    if found:
        headers[HEADER] = found


def _given(request: Any) -> Iterator[Any]:
    """Where a request may carry an account: flattened headers, custom headers, a signature's options, stamps."""
    if request is None:
        return
    fields = getattr(request, "__dict__", {})
    options = fields.get("options")
    candidates = (
        fields.get(HEADER),
        _item(fields.get("headers"), HEADER),
        _item(_item(options, "headers"), HEADER),
        _first(_item(fields.get("stamps"), HEADER)),
        _first(_item(options, HEADER)),
    )
    yield from (value for value in candidates if value is not None)


def _item(mapping: Any, key: str) -> Any:
    return mapping.get(key) if isinstance(mapping, Mapping) else None


def _first(value: Any) -> Any:
    """A stamp's value: Celery makes lists of stamps that are added more than once."""
    if isinstance(value, list | tuple | set | frozenset):
        return next(iter(value), None)
    return value
