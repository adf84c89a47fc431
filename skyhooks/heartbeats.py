"""RabbitMQ under gevent: its heartbeats are read beside the tasks, and not after each of them.

A worker has a second connection, for its events. RabbitMQ's heartbeats on it must be read, or they fill the socket and
the connection counts as dead. Where there is no event loop, Celery 5.7 reads it for 0.1 seconds after each message on
the first one, so that a gevent worker does ten tasks a second and no more. Here a timer does it.
"""

import functools
from typing import Any, Final

import structlog
from celery import Celery

from skyhooks.pulse import Pulse

log = structlog.get_logger()

SHARE: Final = 4
"""The connection is read so often within the time between two heartbeats."""
BRIEFLY: Final = 0.001
"""Seconds to wait for something to read."""


def install(app: Celery) -> None:
    """Have the app's workers read beside the tasks. Calling it again changes nothing."""
    app.steps["consumer"].add(EventHeartbeats)


class EventHeartbeats(Pulse):
    """Part of each worker; does something where Celery's loop would wait."""

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._seconds: float = 0

    def start(self, c: Any) -> None:
        """Called by Celery, once for each connection."""
        if not getattr(c.pool, "is_green", False) or not c.amqheartbeat or not c.event_dispatcher:
            return
        # Celery's loop reads the connection itself for as long as this is set; both connections have been made by now.
        self._seconds, c.amqheartbeat = c.amqheartbeat, 0
        self.beat(c, self._seconds / SHARE, functools.partial(read, c.event_dispatcher))

    def stop(self, c: Any) -> None:
        """Called by Celery, before it connects again."""
        super().stop(c)
        if self._seconds:
            c.amqheartbeat, self._seconds = self._seconds, 0


def read(dispatcher: Any) -> None:
    """Read what has come on a dispatcher's connection. That it is broken is told by Celery's own look at its age."""
    with dispatcher.mutex:  # who publishes reads it too, for the confirmation
        try:
            while True:
                dispatcher.connection.drain_events(timeout=BRIEFLY)
        except OSError as error:  # usually that there was nothing
            log.debug("events_read", error=str(error))
