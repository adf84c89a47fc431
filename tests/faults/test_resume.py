"""A subscriber that was away while 10,000 results came gets exactly those, on another node than the one it left."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cluster import until
from tests.faults.history import History, read
from tests.faults.load import Senders, identify
from tests.faults.subscribers import TRANSPORTS, Subscriber
from tests.integration.celery_stage import SECRET
from tests.integration.system import System, running

MANY = 10_000


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with running(tmp_path) as made:
        yield made


async def test_it_gets_exactly_what_it_missed(system: System, tmp_path: Path) -> None:
    history, urls = History(tmp_path / "history"), system.urls
    subscribers = {
        kind: Subscriber(kind, "accounts/a", kind, [urls["g0"]], history, identify, random.Random(1), 10.0)
        for kind in TRANSPORTS
    }
    following = [asyncio.create_task(one.run()) for one in subscribers.values()]
    await send(urls["g0"], history, 10, "before")
    await until(lambda: all(len(one.seen) == 10 for one in subscribers.values()), 20, "the first ten")
    for one in subscribers.values():
        one.sleep()
        one.urls = [urls["g1"]]
    await send(urls["g0"], history, MANY, "while")
    for one in subscribers.values():
        one.wake()
    await until(lambda: all(len(one.seen) == 10 + MANY for one in subscribers.values()), 60, "everything")
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)
    history.close()

    facts = list(read(history.path))
    sent = [fact["id"] for fact in facts if fact["fact"] == "sent"]
    for kind in TRANSPORTS:
        shown = [fact["id"] for fact in facts if fact["fact"] == "seen" and fact["subscriber"] == kind]
        assert shown == sent
        assert set(Counter(shown).values()) == {1}
    assert not [fact for fact in facts if fact["fact"] == "gap"]


async def send(url: str, history: History, count: int, name: str) -> None:
    """Send so many webhooks, one batch after the other."""
    senders = Senders([url], ["a"], SECRET, history, random.Random(2), rate=100_000, count=1, pad=20, name=name)
    await senders.run(most=count)
