"""The courier of one process: everything between Celery's backend and the gateways, made on first use and anew after
a fork.
 Sockets, threads and locks must not cross a fork, so a process never touches the courier of its parent; only the
store object is shared, which takes care of forks itself.
"""

import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import structlog

from skyhooks import background
from skyhooks.celery_settings import CelerySettings
from skyhooks.errors import StoreError
from skyhooks.gateways import Gateways
from skyhooks.journal import FINISHED, Note
from skyhooks.outbox import Outbox
from skyhooks.parcel import Contents, Parcel, StoredResult
from skyhooks.reporter import Reporter
from skyhooks.sender import Sender, Wire
from skyhooks.spool import Spool
from skyhooks.store.base import Store

log = structlog.get_logger()

DRAIN_SECONDS = 1.0
"""How often the spool is looked at."""
DRAIN_BATCH = 64


class Courier:
    """Takes parcels where they belong. `store` is called from one thread and may block it."""

    def __init__(self, settings: CelerySettings, store: Store, spool_folder: Path) -> None:
        secrets = settings.secrets()
        self._store = store
        wire = Wire(secrets, settings.connect_timeout, settings.read_timeout, settings.ca)
        self._gateways = Gateways(store, bool(secrets))
        self._sender = Sender(wire, self._gateways, store.append)
        self._reporter = Reporter(settings.mesh_key)
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._spool = Spool(spool_folder, settings.spool_size)
        self.outbox = Outbox(self._send, self._spool, settings.progress_queue)
        self._store_failing = False
        self._stopped = threading.Event()
        self._drainer: threading.Thread | None = None

    def drain(self) -> None:
        """Start taking parcels out of the spool, whenever there are any. Calling it again changes nothing."""
        if self._drainer is None:
            self._drainer = background.start(self._drain_always, "skyhooks-spool")

    def close(self, timeout: float) -> None:
        """Send what waits, for up to `timeout` seconds, and spool the rest."""
        self._stopped.set()
        self.outbox.close(timeout)
        self._reporter.close()

    def _send(self, parcels: Sequence[Parcel]) -> None:
        # Celery's result first: whoever hears of the end of a task may ask for its result.
        for parcel in parcels:
            if parcel.contents.result is not None and not parcel.stored:
                parcel.stored = self._put_result(parcel.contents.result)
        self._sender.publish(parcels)
        self._report([parcel for parcel in parcels if parcel.ended and parcel.settled])

    def _report(self, ended: Sequence[Parcel]) -> None:
        """Tell the journal, which may lose it, what has ended and is where it belongs."""
        if ended:
            self._reporter.report([_note(self._name, parcel) for parcel in ended], self._gateways.collectors())

    def _put_result(self, result: StoredResult) -> bool:
        try:
            self._store.put_result(result.key, result.value, result.ttl)
        except StoreError as error:
            if not self._store_failing:
                log.error("result_not_stored", key=result.key, error=str(error), then="trying again with backoff")
            self._store_failing = True
            return False
        except Exception:
            # Such as a value above what the store takes at all. The others must not wait for it.
            log.exception("result_not_storable", key=result.key)
            return True
        self._store_failing = False
        return True

    def _drain_always(self) -> None:
        while not self._stopped.is_set():
            try:
                self._drain_once()
            except OSError as error:
                log.error("spool_unreadable", folder=str(self._spool.root), error=str(error))
            self._stopped.wait(DRAIN_SECONDS)

    def _drain_once(self) -> None:
        with self._spool.draining() as mine:
            while mine and (waiting := self._spool.waiting(DRAIN_BATCH)):
                parcels = [_spooled(contents) for _, contents in waiting]
                for parcel in parcels:
                    self.outbox.post(parcel)
                for (path, _), parcel in zip(waiting, parcels, strict=True):
                    while not parcel.wait(DRAIN_SECONDS):
                        if self._stopped.is_set():
                            return
                    self._spool.remove(path)
                log.info("spool_drained", count=len(parcels))


def _note(worker: str, parcel: Parcel) -> Note:
    runtime = {} if parcel.runtime is None else {"runtime": round(parcel.runtime, 6)}
    return Note.of(FINISHED, worker, parcel.account, parcel.task_id, state=parcel.ended, **runtime)


def _spooled(contents: Contents) -> Parcel:
    parcel = Parcel(contents)
    parcel.kept = True
    return parcel
