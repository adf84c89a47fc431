import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest

from gateway.registrar import Registrar
from gateway.subscriptions import Subscriptions
from skyhooks.registry import Registry
from skyhooks.store.threaded import ThreadedStore
from tests.unit.gateway.stores import Switched, until

URL = "http://127.0.0.1:9"
TTL = 1.5
"""Seconds of a lease: long enough for a machine that is busy with other tests."""


class Bench:
    def __init__(self) -> None:
        self.store = Switched()
        self.registry = Registry(self.store)
        wrapped = ThreadedStore(self.store)
        self.hub = Subscriptions(wrapped, incarnation="run", count=1, size=1).hub
        self.registrar = Registrar(wrapped, self.hub, "n1", URL, info={"open": True}, ttl=TTL)
        self.tasks = [asyncio.create_task(self.registrar.run()), asyncio.create_task(self.registrar.match())]

    def serve(self, name: str) -> None:
        self.hub.channel(name, durable=True)
        self.registrar.served(name)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    for task in bench.tasks:
        task.cancel()


async def test_a_node_is_known_with_its_url_and_stays_known(bench: Bench) -> None:
    await until(lambda: [node.url for node in bench.registry.nodes()] == [URL])
    await asyncio.sleep(TTL * 1.3)  # longer than one lease
    assert [node.id for node in bench.registry.nodes()] == ["n1"]


async def test_an_account_is_registered_with_its_first_subscriber(bench: Bench) -> None:
    await until(bench.registry.nodes)
    bench.serve("accounts/acme")
    await until(lambda: bench.registry.gateways({"account_id": "acme"}) == [f"{URL}/hooks"])
    assert bench.registry.gateways({"account_id": "other"}) == []


async def test_an_account_that_is_no_longer_served_is_unregistered(bench: Bench) -> None:
    bench.serve("accounts/acme")
    await until(lambda: bench.registry.gateways({"account_id": "acme"}))
    bench.hub.sweep(0, 1)
    bench.hub.sweep(2, 1)
    await until(lambda: not bench.registry.list())


@pytest.mark.parametrize("name", ["accounts/a/b", "accounts/" + "x" * 200, "accounts"])
async def test_a_channel_that_no_result_can_be_for_disturbs_nothing(bench: Bench, name: str) -> None:
    bench.serve(name)
    bench.serve("accounts/acme")
    await until(lambda: bench.registry.gateways({"account_id": "acme"}))
    assert len(bench.registry.list()) == 1


async def test_many_new_accounts_do_not_let_the_lease_run_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await until(bench.registry.nodes)
    add = bench.store.add_hook
    monkeypatch.setattr(
        bench.store, "add_hook", lambda hook: (time.sleep(0.025), add(hook))[1]
    )  # more than a lease in all
    for number in range(100):
        bench.serve(f"accounts/{number}")
    looks = []
    while len(bench.registry.list()) < 100:
        looks.append(bool(bench.registry.nodes()))
        await asyncio.sleep(0.02)
    assert all(looks)


async def test_only_accounts_are_registered(bench: Bench) -> None:
    bench.serve("tasks/t")
    await until(bench.registry.nodes)
    assert bench.registry.list() == []


async def test_a_node_that_withdraws_is_gone_at_once(bench: Bench) -> None:
    bench.serve("accounts/acme")
    await until(bench.registry.list)
    for task in bench.tasks:
        task.cancel()
    await bench.registrar.withdraw()
    assert bench.registry.nodes() == []
    assert bench.registry.list() == []


async def test_a_store_that_does_not_answer_does_not_keep_a_node_that_leaves(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await until(bench.registry.nodes)
    answers = threading.Event()
    monkeypatch.setattr(bench.store, "release", lambda *_: answers.wait(20))
    monkeypatch.setattr("gateway.registrar.WITHDRAW_SECONDS", 0.1)
    try:
        async with asyncio.timeout(10):
            await bench.registrar.withdraw()
    finally:
        answers.set()
