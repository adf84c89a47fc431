"""A broker in this process, and what was sent through it."""

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty
from typing import Any

from celery import Celery
from kombu import Message

MEMORY = "memory://"
QUEUE = "celery"


@contextmanager
def emptied(app: Celery) -> Iterator[Celery]:
    """Nothing is in the broker before, and nothing is left in it after."""
    sent(app)
    yield app
    sent(app)


def sent(app: Celery) -> list[Message]:
    """Take every message out of the broker, oldest first."""
    found: list[Any] = []
    with app.connection_for_read() as connection, connection.SimpleQueue(QUEUE, no_ack=True) as queue:
        while True:
            try:
                found.append(queue.get_nowait())
            except Empty:
                return found
