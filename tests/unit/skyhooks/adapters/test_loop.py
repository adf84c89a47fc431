"""The container on an asyncio loop: callbacks are called on it, in order, and one that waits holds up only itself."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from skyhooks.adapters.loop import Container
from skyhooks.errors import StoreUnavailable
from tests.unit.gateway.stores import until
from tests.unit.skyhooks.adapters.exchange import LIMITS, URL, Switched, hook


class Bench:
    def __init__(self) -> None:
        self.store = Switched()
        self.container = Container(self.store, url=URL, limits=LIMITS)
        self.heard: list[Any] = []


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    async with bench.container:
        yield bench
        bench.store.away = False


async def test_a_plain_callback_is_called_on_the_loop(bench: Bench) -> None:
    threads: list[int] = []
    await bench.container.register({"account_id": 7}, lambda _: threads.append(threading.get_ident()))
    assert (await bench.container.notify({"account_id": 7}, 1))["notified"] == 1
    await until(lambda: threads)
    assert threads == [threading.get_ident()]


async def test_a_coroutine_function_is_awaited_before_its_next_call(bench: Bench) -> None:
    async def slow(data: int) -> None:
        bench.heard.append(("begin", data))
        await asyncio.sleep(0)
        bench.heard.append(("end", data))

    await bench.container.register({"account_id": 7}, slow)
    for n in range(3):
        await bench.container.notify({"account_id": 7}, n)
    await until(lambda: len(bench.heard) == 6)
    assert bench.heard == [(what, n) for n in range(3) for what in ("begin", "end")]


async def test_a_callback_that_waits_delays_no_other_and_is_given_no_more_than_a_page(bench: Bench) -> None:
    gate = asyncio.Event()
    begun: list[int] = []

    async def stuck(data: int) -> None:
        begun.append(data)
        await gate.wait()

    listener = await bench.container.register({"account_id": "acme"}, stuck)
    await bench.container.register({"account_id": "acme"}, bench.heard.append)
    bench.store.say(*range(20))
    await until(lambda: len(bench.heard) == 20)
    assert begun == [0]
    assert int(str(listener.cursor).rpartition("-")[2]) <= LIMITS.page_count
    gate.set()
    await until(lambda: len(begun) == 20)
    assert begun == list(range(20))


async def test_a_coroutine_that_raises_is_counted_and_the_next_one_is_called(bench: Bench) -> None:
    async def picky(data: int) -> None:
        bench.heard.append(data)
        raise ValueError(data)

    listener = await bench.container.register({"account_id": 7}, picky)
    for n in range(3):
        await bench.container.notify({"account_id": 7}, n)
    await until(lambda: listener.failures == 3)
    assert bench.heard == [0, 1, 2]


async def test_a_commit_that_hangs_does_not_stop_the_loop(bench: Bench) -> None:
    gate = threading.Event()
    append = bench.store.append

    def held(drafts: Any) -> Any:
        gate.wait(10)
        return append(drafts)

    bench.store.append = held  # type: ignore[method-assign]
    answering = asyncio.create_task(bench.container.answer("POST", "hooks", {}, hook()))
    turns = 0
    while turns < 20:
        await asyncio.sleep(0)
        turns += 1
    assert not answering.done()
    gate.set()
    assert (await answering).status == 200


async def test_unregistering_takes_effect_at_once(bench: Bench) -> None:
    callback = bench.heard.append
    await bench.container.register({"account_id": 7}, callback)
    await bench.container.notify({"account_id": 7}, 1)
    bench.container.unregister({"account_id": 7}, callback)
    seen = list(bench.heard)
    late: list[Any] = []
    await bench.container.register({"account_id": 7}, late.append, since="0")
    await until(lambda: late == [1])
    assert bench.heard == seen


async def test_a_store_that_is_away_is_told_to_whoever_asks(bench: Bench) -> None:
    bench.store.away = True
    with pytest.raises(StoreUnavailable):
        await bench.container.register({"account_id": 7}, print)
    with pytest.raises(StoreUnavailable):
        await bench.container.notify({"account_id": 7}, 1)
    assert (await bench.container.answer("POST", "hooks", {}, hook())).status == 503


async def test_stopping_cancels_what_waits_and_leaves_the_registry() -> None:
    bench = Bench()
    ended: list[str] = []

    async def forever(_: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async with bench.container:
        await bench.container.register({"account_id": 7}, forever)
        await bench.container.notify({"account_id": 7}, 1)
        await until(lambda: bench.container._tasks)
        await until(lambda: bench.store.leases("nodes/"))
    assert ended == ["cancelled"]
    assert (bench.store.leases("nodes/"), bench.store.hooks()) == ([], [])
