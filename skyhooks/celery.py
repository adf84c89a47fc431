# mypy: disable-error-code="no-untyped-call"
"""Celery's result backend ``skyhooks``: every state of a task passes through it, and it takes them to those who wait.

``result_backend = "skyhooks"`` uses the store of ``skyhooks_store`` (see `skyhooks.celery_settings`),
``skyhooks+sqlite:///absolute/path.db`` names it. Celery's own results, for ``AsyncResult``, groups and chords, go
into the same store under Celery's serializer.

What shapes this class (Celery 5.7):

- A state is reported once in ``store_result`` or ``mark_as_*``; SUCCESS and FAILURE of a task with ``ignore_result``
  only reach the latter. Those are published when the task has an account, and not stored.
- If storing raised, Celery would record a FAILURE and acknowledge. So nothing raises for an outage: inside a task the
  end of the task blocks until it has arrived or is in the spool; elsewhere (the main process, which reports lost
  workers, hard limits and revocations) it is handed to a thread at once.
- The constructor does no I/O: ``.delay()`` in a web process makes a backend too.
"""

import atexit
import os
import sys
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final
from weakref import WeakMethod

import structlog
from celery import signals, states
from celery._state import get_current_task
from celery.app.task import Context
from celery.exceptions import NotRegistered, SoftTimeLimitExceeded, TaskRevokedError

from skyhooks import accounts, task_run
from skyhooks.celery_results import StoredResults
from skyhooks.courier import Courier
from skyhooks.errors import StoreError
from skyhooks.event import encode_task_webhook, event_of
from skyhooks.parcel import Contents, Parcel

log = structlog.get_logger()

PUBLISHED_BUILTINS: Final = frozenset({"celery.accumulate"})
"""The built-in tasks that are not skipped: this one gives a task that was replaced by a group its result."""
REVOCATIONS: Final = frozenset({"revoked", "expired", "terminated"})
"""Celery's reasons, which become the error's code."""
LIMIT_MARGIN: Final = 1.0
"""Seconds before the hard time limit by which the end of a task is in the spool."""
CLOSE_SECONDS: Final = 5.0
"""How long a process that ends tries to deliver what waits, before it is spooled."""

_lenient: ContextVar[bool] = ContextVar("skyhooks_lenient", default=False)


class SkyhooksBackend(StoredResults):
    """The backend. Raises `SettingsError` or `StoreUnusable` when made with settings that cannot work."""

    def __init__(self, app: Any, url: str | None = None, **kwargs: Any) -> None:
        super().__init__(app, os.environ, url, **kwargs)
        self._couriers: dict[int, Courier] = {}
        self._made_in = os.getpid()
        accounts.listen()
        accounts.guard(app)
        signals.task_prerun.connect(self._on_prerun)
        signals.task_unknown.connect(self._on_unknown)
        signals.worker_ready.connect(self._on_ready)
        signals.worker_process_shutdown.connect(self._on_shutdown)
        signals.worker_shutdown.connect(self._on_shutdown)
        atexit.register(_call, WeakMethod(self._on_shutdown))

    def store_result(
        self, task_id: str, result: Any, state: str, traceback: str | None = None, request: Any = None, **kwargs: Any
    ) -> Any:
        """Take a state where it belongs: a result, a failure, progress. Returns the result as it is stored.

        Raises only what Celery's serializer raises for a result that it cannot carry.
        """
        return self._report(task_id, result, state or "PROGRESS", request, traceback)

    def mark_as_done(
        self, task_id: str, result: Any, request: Any = None, store_result: bool = True, state: str = states.SUCCESS
    ) -> None:
        """See Celery. A task with ``ignore_result`` and an account publishes its end, too."""
        stored = store_result and not (request is not None and request.ignore_result)
        self._report(task_id, result, state, request, stored=stored)
        if request and request.chord:
            self.on_chord_part_return(request, state, result)

    def mark_as_failure(
        self,
        task_id: str,
        exc: Any,
        traceback: str | None = None,
        request: Any = None,
        store_result: bool = True,
        call_errbacks: bool = True,
        state: str = states.FAILURE,
    ) -> None:
        """See Celery. What it starts or fails in turn has the account of this task."""
        # For an unknown task Celery gives no headers here; `_on_unknown` gets them in a moment.
        unknown = isinstance(exc, NotRegistered) and not isinstance(request, Context) and request is not None
        lenient = _lenient.set(True)
        try:
            with accounts.on_behalf_of(self._account(task_id, request)):
                if unknown or not store_result:
                    self._report(
                        task_id, exc, state, request, traceback, stored=store_result, publish=False if unknown else None
                    )
                super().mark_as_failure(
                    task_id, exc, traceback, request, store_result and not unknown, call_errbacks, state
                )
        finally:
            _lenient.reset(lenient)

    def mark_as_revoked(
        self,
        task_id: str,
        reason: str = "",
        request: Any = None,
        store_result: bool = True,
        state: str = states.REVOKED,
    ) -> None:
        """See Celery. A revocation is published by the worker that has the task's message, which alone knows its
        account.
        """
        known = request or _reserved(task_id)
        code = reason if reason in REVOCATIONS else "revoked"
        self._report(
            task_id,
            TaskRevokedError(reason),
            state,
            known,
            stored=store_result,
            publish=None if known is not None else False,
            code=code,
        )
        if request and request.chord:
            self.on_chord_part_return(request, state, TaskRevokedError(reason))

    def get_state(self, task_id: str) -> Any:
        """The state of a task.

        While a failure is being recorded, a store that cannot be read counts as PENDING rather than raise.
        """
        try:
            return super().get_state(task_id)
        except StoreError:
            if not _lenient.get():
                raise
            return states.PENDING

    get_status = get_state

    # Reporting

    def _report(
        self,
        task_id: str,
        value: Any,
        state: str,
        request: Any,
        traceback: str | None = None,
        *,
        stored: bool = True,
        publish: bool | None = None,
        code: str = "",
    ) -> Any:
        """Send one state on its way: into Celery's results when `stored`, and to subscribers.

        Without `publish` the rules decide whether anybody is to be told.
        """
        result = self.encode_result(value, state)
        account = self._account(task_id, request)
        webhook = b""
        if publish is None:
            publish = _worth_publishing(request, stored, account)
        if publish:
            shown = value if isinstance(value, BaseException) else result
            webhook = self._webhook(task_id, shown, state, request, account, code)
        contents = Contents(webhook, self.stored_result(task_id, result, state, traceback, request) if stored else None)
        if webhook or stored:
            self._dispatch(contents, state, task_id, request)
        return result

    def _webhook(self, task_id: str, value: Any, state: str, request: Any, account: str, code: str) -> bytes:
        own = request if _is_about(request, task_id) else None
        event = event_of(
            state,
            value,
            task_id=task_id,
            task=_task_name(own),
            at=time.time(),
            retries=int(getattr(own, "retries", 0) or 0),
            account=account,
            code=code,
        )
        publication_id = task_run.publication_id(task_id, state, own)
        mark = task_run.mark_of(state, own)
        return encode_task_webhook(event, publication_id, mark, self.settings.max_result_bytes)

    def _dispatch(self, contents: Contents, state: str, task_id: str, request: Any) -> None:
        outbox = self._courier().outbox
        if state == states.STARTED:
            outbox.post(Parcel(contents, f"{task_id}:started"))
        elif state not in states.READY_STATES and state != states.RETRY:
            outbox.post(Parcel(contents, f"{task_id}:progress"))
        elif get_current_task() is None:
            outbox.post(Parcel(contents))
        else:
            parcel = Parcel(contents, runtime=_runtime(request))
            left = _seconds_left(request)
            timeout = self.settings.deadline if left is None else min(self.settings.deadline, left)
            while not parcel.finished:
                try:
                    outbox.deliver(parcel, timeout, left)
                    return
                except SoftTimeLimitExceeded:
                    # The task is over; its limit, which comes once, must not turn a result into a failure.
                    continue

    def _account(self, task_id: str, request: Any) -> str:
        if request is not None and not _is_about(request, task_id):
            return ""  # a task that sets the state of another one does not know for whom that runs
        return accounts.account_of(request) or accounts.surrounding_account()

    def _fail_chain(
        self,
        chain: Any,
        exc: Any,
        traceback: str | None = None,
        store_result: bool = True,
        state: str = states.FAILURE,
    ) -> None:
        super()._fail_chain(chain, exc, traceback, store_result=store_result, state=state)
        if not store_result and isinstance(chain, list):
            for element in chain:
                context = Context(element)
                context.update(context.options or {})
                if task_id := (context.options or {}).get("task_id"):
                    context.id = task_id
                    self._report(task_id, exc, state, context, traceback, stored=False)

    def _is_told_of(self, task_id: str) -> bool:
        request = _reserved(task_id)
        return request is None or _worth_publishing(request, True, "")

    # The process

    def _courier(self) -> Courier:
        pid = os.getpid()
        if pid not in self._couriers:
            self.refuse_memory()
            # No lock, because one could be held at the moment of a fork; the loser of a race has opened nothing.
            self._couriers.setdefault(pid, Courier(self.settings, self.store(), self.spool_folder))
            if self._made_in == pid and self.app.loader.worker_initialized:
                # The main process; under `celery -q`, which makes no backend there, a process of the pool.
                self._couriers[pid].drain()
        return self._couriers[pid]

    # Signals

    def _on_prerun(self, task: Any = None, **_: Any) -> None:
        if task is None or task_run.run_of(task.request) is not None:
            return
        task_run.begin(task.request, time.monotonic())
        if task.app is self.app and _must_tell_that_it_began(task):
            self._report(task.request.id, {}, states.STARTED, task.request, stored=False, publish=True)

    def _on_unknown(self, sender: Any = None, message: Any = None, name: str = "", id: str = "", **_: Any) -> None:
        if getattr(sender, "app", None) is self.app:
            request = Context(message.headers or {})
            publish = _worth_publishing(request, not request.ignore_result, self._account(id, request))
            self._report(id, NotRegistered(name), states.FAILURE, request, stored=False, publish=publish)

    def _on_ready(self, sender: Any = None, **_: Any) -> None:
        if getattr(sender, "app", None) is self.app:
            self._courier()

    def _on_shutdown(self, **_: Any) -> None:
        courier = self._couriers.pop(os.getpid(), None)
        if courier is not None:
            courier.close(CLOSE_SECONDS)


def _call(method: "WeakMethod[Any]") -> None:
    if (bound := method()) is not None:
        bound()


def _is_about(request: Any, task_id: str) -> bool:
    return request is not None and getattr(request, "id", task_id) in (task_id, None)


def _task_name(request: Any) -> str:
    return str(getattr(request, "task", None) or getattr(request, "name", None) or "")


def _worth_publishing(request: Any, stored: bool, account: str) -> bool:
    name = _task_name(request)
    if name.startswith("celery.") and name not in PUBLISHED_BUILTINS:
        return False
    if getattr(request, "is_eager", False):
        return stored
    return stored or bool(account)


def _must_tell_that_it_began(task: Any) -> bool:
    """Whether the leader would take a running task for expired, because Celery does not say that it has started."""
    request = task.request
    told = task.track_started and not request.ignore_result
    return bool(request.expires) and not told and not request.is_eager


def _seconds_left(request: Any) -> float | None:
    """How long the running task may still block before its hard time limit; None without a limit."""
    task = get_current_task()
    limit = (getattr(request, "timelimit", None) or [None])[0] or getattr(task, "time_limit", None)
    run = task_run.run_of(request)
    if not limit or run is None:
        return None
    return max(0.1, float(limit) - (time.monotonic() - run.began) - LIMIT_MARGIN)


def _runtime(request: Any) -> float | None:
    """For how long the task has run, in seconds."""
    run = task_run.run_of(request)
    return None if run is None else time.monotonic() - run.began


def _reserved(task_id: str) -> Any:
    """The request for a task whose message this worker has and has not run yet; None without one."""
    state = sys.modules.get("celery.worker.state")
    found: Mapping[str, Any] = getattr(state, "requests", {})
    request = found.get(task_id)
    return None if request is None else Context(request.request_dict)
