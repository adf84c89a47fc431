"""Nodes on one store; the store is real, and a test may take it away."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from gateway.cluster.lease import StoreCoordinator
from gateway.cluster.roster import Roster
from skyhooks.errors import StoreUnavailable
from skyhooks.store.base import Lease
from skyhooks.store.memory import MemoryStore
from skyhooks.store.threaded import ThreadedStore
from tests.unit.gateway.stores import until


class Leases(MemoryStore):
    away = False

    def leases(self, prefix: str) -> list[Lease]:
        if self.away:
            raise StoreUnavailable("switched off by the test")
        return super().leases(prefix)


class Place:
    def __init__(self) -> None:
        self.store = Leases()
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def node(
        self, name: str, run: str = "1", changed: Callable[[Roster], None] | None = None, ttl: float = 0.4
    ) -> StoreCoordinator:
        self.store.lease(f"nodes/{name}", name, 60, f'{{"url": "http://{name}"}}')
        made = StoreCoordinator(ThreadedStore(self.store), name, run, heartbeat=0.02, ttl=ttl)
        if changed is not None:
            made.watch(changed)
        self.tasks[name] = asyncio.create_task(made.run())
        return made


@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    made = Place()
    yield made
    for task in made.tasks.values():
        task.cancel()
    await asyncio.gather(*made.tasks.values(), return_exceptions=True)


async def test_all_nodes_agree_on_one_leader_and_know_each_other() -> None:
    async with place() as there:
        nodes = [there.node(name) for name in "abc"]
        await until(lambda: all(one.roster.leader and len(one.roster.members) == 3 for one in nodes))
        await until(lambda: len({(one.roster.leader, one.roster.term) for one in nodes}) == 1)


async def test_a_renewal_on_its_way_does_not_outlive_the_resignation(monkeypatch: pytest.MonkeyPatch) -> None:
    async with place() as there:
        first = there.node("a", ttl=60)
        await until(lambda: first.roster.leader == "a")
        held, go, lease = threading.Event(), threading.Event(), there.store.lease

        def slow(name: str, holder: str, ttl: float, info: str = "{}") -> Lease | None:
            if holder.startswith("a/"):
                held.set()
                go.wait(10)
            return lease(name, holder, ttl, info)

        async def overtaking(name: str, holder: str, term: int) -> bool:
            return there.store.release(name, holder, term)

        monkeypatch.setattr(there.store, "lease", slow)
        # As with MongoDB, where calls do not wait for each other.
        monkeypatch.setattr(first._store, "release", overtaking)
        await until(held.is_set)
        resigned = asyncio.create_task(first.resign())
        await until(lambda: not first.roster.leader)
        go.set()
        await resigned
        second = there.node("b")
        await until(lambda: second.roster.leader == "b")


async def test_a_leader_that_dies_is_replaced_under_a_higher_term() -> None:
    async with place() as there:
        first = there.node("a")
        await until(lambda: first.roster.leader == "a")
        second = there.node("b")
        there.tasks["a"].cancel()
        await until(lambda: second.roster.leader == "b")
        assert second.roster.term > first.roster.term


async def test_a_leader_that_resigns_is_replaced_at_once_and_stands_no_more() -> None:
    async with place() as there:
        first = there.node("a")
        await until(lambda: first.roster.leader == "a")
        await first.resign()
        assert first.roster.leader == ""
        await until(lambda: not there.store.leases("leader"))
        second = there.node("b")
        await until(lambda: first.roster.leader == second.roster.leader == "b")
        await first.leave()
        assert second.roster.leader == "b"


async def test_without_the_store_nobody_leads_and_everybody_stays_known() -> None:
    async with place() as there:
        node = there.node("a")
        await until(lambda: node.roster.leader == "a")
        term = node.roster.term
        there.store.away = True
        await until(lambda: not node.roster.leader)
        assert list(node.roster.members) == ["a"]
        there.store.away = False
        await until(lambda: node.roster.leader == "a")
        assert node.roster.term >= term


async def test_each_change_is_told_once() -> None:
    seen: list[Roster] = []
    async with place() as there:
        node = there.node("a", changed=seen.append)
        await until(lambda: node.roster.leader)
        there.store.lease("nodes/b", "b", 60, '{"url": "http://b"}')
        await until(lambda: len(node.roster.members) == 2)
    assert seen[-1] == node.roster
    assert all(one != other for one, other in pairwise(seen))


async def test_told_to_look_it_does_not_wait_for_the_heartbeat() -> None:
    store = ThreadedStore(Leases())
    node = StoreCoordinator(store, "a", "1", heartbeat=60, ttl=60)
    task = asyncio.create_task(node.run())
    await until(lambda: node.roster.leader == "a")
    await store.lease("nodes/b", "b", 60, '{"url": "http://b"}')
    node.look()
    await until(lambda: "b" in node.roster.members)
    task.cancel()
