"""A beat that lasts as long as a connection."""

from types import SimpleNamespace
from typing import Any

import pytest
from kombu.asynchronous.timer import Timer

from skyhooks.pulse import Pulse


class Greenlet:
    """What gevent's timer gives: the first call, which holds the entry."""

    def __init__(self, entry: Any) -> None:
        self.entry = entry


class GreenTimer(Timer):
    def call_repeatedly(self, *args: Any, **kwargs: Any) -> Any:
        return Greenlet(super().call_repeatedly(*args, **kwargs))


@pytest.mark.parametrize("kind", [Timer, GreenTimer])
def test_a_beat_ends_with_its_connection_and_begins_again_with_the_next(kind: type[Timer]) -> None:
    worker = SimpleNamespace(timer=kind())
    beats: list[str] = []
    pulse = Pulse(worker)
    pulse.beat(worker, 1, lambda: beats.append("first"))
    entries = [entry for *_, entry in worker.timer.queue]
    entries[0]()
    assert beats == ["first"]

    pulse.stop(worker)
    pulse.stop(worker)

    assert entries[0].canceled
    pulse.beat(worker, 1, lambda: beats.append("second"))
    live = [entry for *_, entry in worker.timer.queue if not entry.canceled]
    assert len(live) == 1
    live[0]()
    assert beats == ["first", "second"]
