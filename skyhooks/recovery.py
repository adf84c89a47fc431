"""The embedded broker in Celery's workers: what a dead worker had taken is queued again by those that live.

A folder cannot notice that somebody has died, so each worker looks, as it connects and every few seconds from then on
(`skyhooks.broker.keep_recovering`).
"""

import threading
from typing import Any

from celery import Celery, bootsteps

from skyhooks import background, broker
from skyhooks.store.base import LogStore
from skyhooks.store.memory import MemoryStore


def install(app: Celery) -> None:
    """Have the app's workers look. Calling it again changes nothing."""
    app.steps["consumer"].add(DeadWorkers)


class DeadWorkers(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Part of each worker: a thread that looks, for as long as the worker is connected."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._stopped = threading.Event()

    def start(self, c: Any) -> None:
        """Called by Celery, once for each connection."""
        self._stopped = stopped = threading.Event()
        url, store = c.app.conf.broker_url, _log_of(c.app)
        background.start(lambda: broker.keep_recovering(url, store, stopped), "skyhooks-broker")

    def stop(self, c: Any) -> None:
        """Called by Celery when a connection ends."""
        self._stopped.set()

    shutdown = stop


def _log_of(app: Celery) -> LogStore:
    """Where the ends of the app's tasks are published. Another result backend publishes none: all run again."""
    store = getattr(app.backend, "store", None)
    found: LogStore = store() if callable(store) else MemoryStore()
    return found
