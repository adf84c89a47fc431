"""Who reads RabbitMQ's heartbeats on the connection of a worker's events."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.asynchronous.timer import Timer

from skyhooks.heartbeats import EventHeartbeats, read


class Connection:
    """Has some frames to read, and then none."""

    def __init__(self, frames: int) -> None:
        self.frames = frames

    def drain_events(self, timeout: float) -> None:
        assert 0 < timeout < 0.01
        if not self.frames:
            raise TimeoutError
        self.frames -= 1


def worker(*, green: bool = True, heartbeat: float = 30, events: bool = True) -> Any:
    dispatcher = SimpleNamespace(connection=Connection(3), mutex=threading.Lock())
    return SimpleNamespace(
        pool=SimpleNamespace(is_green=green),
        amqheartbeat=heartbeat,
        event_dispatcher=dispatcher if events else None,
        timer=Timer(),
    )


def test_celerys_loop_leaves_it_to_the_timer_until_it_connects_again() -> None:
    there = worker()
    step = EventHeartbeats(there)
    for _ in range(2):
        step.start(there)
        assert there.amqheartbeat == 0, "Celery's loop would read after each task"
        step.stop(there)
        assert there.amqheartbeat == 30, "the next connection has heartbeats too"
    assert all(entry.canceled for *_, entry in there.timer.queue)


@pytest.mark.parametrize("other", [{"green": False}, {"heartbeat": 0}, {"events": False}])
def test_elsewhere_nothing_is_changed(other: dict[str, Any]) -> None:
    there = worker(**other)
    before = there.amqheartbeat
    step = EventHeartbeats(there)
    step.start(there)
    assert (there.amqheartbeat, list(there.timer.queue)) == (before, [])
    step.stop(there)
    assert there.amqheartbeat == before


def test_everything_that_has_come_is_read_while_nobody_publishes() -> None:
    dispatcher = worker().event_dispatcher
    dispatcher.mutex.acquire()
    reader = threading.Thread(target=read, args=(dispatcher,))
    reader.start()
    assert dispatcher.connection.frames == 3
    dispatcher.mutex.release()
    reader.join(10)
    assert dispatcher.connection.frames == 0
    assert not dispatcher.mutex.locked()
