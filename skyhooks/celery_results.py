# mypy: disable-error-code="no-untyped-call"
"""Celery's own results, for ``AsyncResult``, groups and chords, in the results facet of a store.

Values are the bytes of Celery's serializer under ``group:<id>`` and, for a task, under one key for each rank of its
state: ``task:<id>:success``, ``task:<id>:end`` (FAILURE and REVOKED) and ``task:<id>:state`` (all others). The first
one that is there counts. So whatever two executions write in whatever order, a late STARTED of an older one never
hides the end of a newer one, and a lost worker's last word never hides a result, without a read before the write.
"""

import os
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from billiard.process import current_process
from celery import states
from celery._state import get_current_task
from celery.backends.base import BaseBackend
from celery.result import result_from_tuple
from kombu.utils.encoding import ensure_bytes

from skyhooks import accounts, background
from skyhooks.celery_settings import CelerySettings
from skyhooks.ends import has_ended
from skyhooks.errors import SettingsError, StoreError, StoreUnavailable
from skyhooks.green import for_this_process
from skyhooks.parcel import StoredResult
from skyhooks.store import default_url, open_store
from skyhooks.store.base import Store

SCHEME: Final = "skyhooks"
BRIEFLY: Final = 0.25
"""Seconds that a worker's main process waits for the store."""
RANKS: Final = ("success", "end", "state")

_PASSWORD = re.compile(r"(?<=://)([^/?#:@]*:)[^/?#]*(?=@)|((?i:password)=)[^&]*")


class StoredResults(BaseBackend):  # type: ignore[misc]  # Celery has no types
    """The part of the backend that keeps and reads results.

    `environ` is asked for what the app's configuration does not say. Raises `SettingsError` or `StoreUnusable` when
    made with settings that cannot work; nothing is opened before the first call.
    """

    supports_result_compression = True

    def __init__(self, app: Any, environ: Mapping[str, str], url: str | None = None, **kwargs: Any) -> None:
        super().__init__(app, url=url, **kwargs)
        self.thread_safe = True  # otherwise Celery makes one backend for each greenlet
        self.settings = CelerySettings.of(app.conf, environ)
        self.settings.secrets()
        given = app.conf.get("skyhooks_store")
        self._given_store: Store | None = None if given is None or isinstance(given, str) else given
        self._stores: dict[int, Store] = {}
        self.store_url = self._find_store_url(environ)
        self.spool_folder = self.settings.spool_folder(self.store_url, environ)
        self.refuse_memory()

    def store(self) -> Store:
        """The store, opened on first use in each process; with gevent its calls run in the hub's threadpool."""
        if self._given_store is not None:
            return self._given_store
        pid = os.getpid()
        if pid not in self._stores:
            self._stores.setdefault(pid, for_this_process(open_store(self.store_url)))
        return self._stores[pid]

    def refuse_memory(self) -> None:
        """Raise `SettingsError` in a worker whose store would end with its process."""
        if self.app.loader.worker_initialized and self.store_url == "memory://" and not self.settings.in_process:
            raise SettingsError(
                "the store memory:// ends with its process, so nobody would see this worker's results: use "
                "result_backend = 'skyhooks+sqlite:///absolute/path.db' (skyhooks_in_process = True allows it in tests)"
            )

    def as_uri(self, include_password: bool = False) -> str:
        """The URL with its query; passwords are shown as ``**`` unless asked for."""
        if not self.url or self.url.startswith(f"{SCHEME}:"):
            return self.url or SCHEME
        shown = self.url if include_password else _PASSWORD.sub(lambda match: f"{match[1] or match[2]}**", self.url)
        return f"{SCHEME}+{shown}"

    def __reduce__(self, args: Any = (), kwargs: Any = None) -> Any:
        return super().__reduce__(args, {**(kwargs or {}), "url": self.url})

    def cleanup(self) -> None:
        """Delete results whose time has passed."""
        while self.store().sweep_results():
            pass

    def chord_account(self, request: Any) -> str:
        """The account of a chord whose unlocking task was not told: its header's tasks have stored theirs."""
        for part in (request.kwargs or {}).get("result") or ():
            value = self._read_task(part[0][0])
            if value is not None and (found := self.decode(value).get(accounts.HEADER)):
                return str(found)
        return ""

    def stored_result(self, task_id: str, result: Any, state: str, traceback: str | None, request: Any) -> StoredResult:
        """What is kept for a state. Raises what Celery's serializer raises for a result that it cannot carry."""
        meta = self._get_result_meta(result=result, state=state, traceback=traceback, request=request)
        meta["task_id"] = task_id
        if request is not None and getattr(request, "chord", None) and (account := accounts.account_of(request)):
            meta[accounts.HEADER] = account
        return StoredResult(_key(task_id, state), ensure_bytes(self.encode(meta)), self.expires or None)

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        if self._must_not_wait():
            value = self._read_briefly(task_id)
        else:
            value = self._read_told(task_id) if self._is_worker_outside_tasks() else self._read_task(task_id)
        if value is None:
            return {"status": states.PENDING, "result": None}
        meta: dict[str, Any] = self.decode_result(value)
        return meta

    def _forget(self, task_id: str) -> None:
        for rank in RANKS:
            self.store().delete_result(f"task:{task_id}:{rank}")

    def _save_group(self, group_id: str, result: Any) -> Any:
        value = ensure_bytes(self.encode({"result": result.as_tuple()}))
        self.store().put_result(f"group:{group_id}", value, self.expires or None)
        return result

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        value = self.store().get_result(f"group:{group_id}")
        if value is None:
            return None
        meta: dict[str, Any] = self.decode(value)
        return {**meta, "result": result_from_tuple(meta["result"], self.app)}

    def _delete_group(self, group_id: str) -> None:
        self.store().delete_result(f"group:{group_id}")

    def _read_task(self, task_id: str) -> bytes | None:
        values = (self.store().get_result(f"task:{task_id}:{rank}") for rank in RANKS)
        return next((value for value in values if value is not None), None)

    def _read_told(self, task_id: str) -> bytes | None:
        """What is stored of a task, unless that is a success of which nobody has been told yet.

        A worker asks to find out whether a task that comes again has to run. Its result is stored before it is
        published, so a process that was killed in between leaves a success that only running again brings to anyone.
        """
        value = self._read_task(task_id)
        if value is None or self.decode(value)["status"] != states.SUCCESS or not self._is_told_of(task_id):
            return value
        return value if has_ended(self.store(), task_id) else None

    def _is_told_of(self, task_id: str) -> bool:
        """Whether the end of a task is published; it is, unless somebody knows better."""
        return True

    def _is_worker_outside_tasks(self) -> bool:
        return get_current_task() is None and bool(self.app.loader.worker_initialized)

    def _must_not_wait(self) -> bool:
        """Whether this is a worker's main process outside any task: it asks what became of a task whose process was
        lost, and while it waits no other task goes on.
        """
        return self._is_worker_outside_tasks() and current_process().name == "MainProcess"

    def _read_briefly(self, task_id: str) -> bytes | None:
        """Raises `StoreUnavailable` when there is no answer at once."""
        found: list[bytes | None] = []
        done = threading.Event()

        def read() -> None:
            with suppress(StoreError):
                found.append(self._read_told(task_id))
            done.set()

        background.start(read, "skyhooks-result")
        if not done.wait(BRIEFLY) or not found:
            raise StoreUnavailable(f"the store did not tell within {BRIEFLY} s what became of {task_id}")
        return found[0]

    def _find_store_url(self, environ: Mapping[str, str]) -> str:
        if self._given_store is not None:
            return self._given_store.url
        if self.url and not self.url.startswith(f"{SCHEME}:"):
            return str(self.url)
        return self.settings.store or default_url(environ)


def _key(task_id: str, state: str) -> str:
    if state == states.SUCCESS:
        return f"task:{task_id}:success"
    return f"task:{task_id}:end" if state in states.READY_STATES else f"task:{task_id}:state"
