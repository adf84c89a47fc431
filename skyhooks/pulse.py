"""What a part of a Celery worker does again and again while the worker is connected.

Celery keeps its timer when a connection breaks, with whatever was entered for that connection.
"""

from collections.abc import Callable
from typing import Any

from celery import bootsteps


class Pulse(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """A part of a worker with a beat of its own, which ends with the connection that it was begun for."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._entry: Any = None

    def beat(self, c: Any, seconds: float, function: Callable[[], None]) -> None:
        """Call `function` every so many seconds until `stop`."""
        entered = c.timer.call_repeatedly(seconds, function)
        self._entry = getattr(entered, "entry", entered)  # gevent gives the greenlet of the first call

    def stop(self, c: Any) -> None:
        """Called by Celery when a connection ends."""
        if self._entry is not None:
            self._entry.cancel()
            self._entry = None

    shutdown = stop
