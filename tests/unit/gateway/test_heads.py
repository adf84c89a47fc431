import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.heads import Heads, pause_between
from gateway.hub.encoding import STREAM
from gateway.subscriptions import Subscriptions
from skyhooks.store.threaded import ThreadedStore
from tests.unit.gateway.hub.sinks import Pipe
from tests.unit.gateway.stores import Switched, draft, until


@asynccontextmanager
async def watched(store: Switched, sweep: float = 3600.0) -> AsyncIterator[Pipe]:
    """A subscriber on a node that hears of commits only by looking."""
    wrapped = ThreadedStore(store)
    subscriptions = Subscriptions(wrapped, incarnation="run", count=10, size=1000)
    heads = Heads(wrapped, subscriptions.hub, pause=0.01, sweep=sweep)
    subscriber = await subscriptions.subscribe("accounts/a", STREAM, None, durable=True)
    pipe = Pipe()
    subscriber.opened(pipe)
    await until(lambda: pipe.lines)
    tasks = [asyncio.create_task(heads.run()), asyncio.create_task(heads.compare())]
    await until(lambda: heads._mark is not None)
    try:
        yield pipe
    finally:
        for task in tasks:
            task.cancel()
        await subscriptions.close()


async def test_what_others_append_is_shown() -> None:
    store = Switched()
    async with watched(store) as pipe:
        store.append([draft("a"), draft("b", data=b"2"), draft("c", "accounts/other")])
        await until(lambda: pipe.data == [1, 2])


async def test_a_store_that_comes_back_is_compared_and_nothing_is_missed() -> None:
    store = Switched()
    async with watched(store) as pipe:
        store.away = True
        await asyncio.sleep(0.05)
        store.away = False
        store.append([draft("a")])
        await until(lambda: pipe.data == [1])


async def test_a_long_comparison_does_not_hold_up_the_news(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Switched()
    async with watched(store, sweep=0.01) as pipe:
        comparing, enough = threading.Event(), threading.Event()
        monkeypatch.setattr(store, "head", lambda channel: comparing.set() or (enough.wait(10) and None))
        await until(comparing.is_set)
        store.append([draft("a")])
        await until(lambda: pipe.data == [1])
        enough.set()


async def test_the_sweep_finds_what_the_query_for_news_has_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Switched()
    blind = store.news(None)
    monkeypatch.setattr(store, "news", lambda mark: blind)
    async with watched(store, sweep=0.05) as pipe:
        store.append([draft("a")])
        await until(lambda: pipe.data == [1])


@pytest.mark.parametrize(
    ("url", "asked", "pause"),
    [
        ("memory://", 0.0, 0.1),
        ("sqlite:///s.db", 0.0, 0.1),
        ("mongodb://h/d", 0.0, 0.5),
        ("mongodb+srv://h/d", 0.0, 0.5),
        ("mongodb://h/d", 0.05, 0.05),
        ("sqlite:///s.db", 7.0, 7.0),
    ],
)
def test_how_often_a_node_looks_depends_on_what_that_costs(url: str, asked: float, pause: float) -> None:
    assert pause_between(url, asked) == pause
