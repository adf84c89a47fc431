"""Bridges from the real number server into each store: leaders come, sleep, die and overlap; the log has each number
once, in order."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.appender import Appender
from gateway.bridge import Bridge, Deposed
from gateway.feeds import open_feed
from skyhooks.publication import Draft, Outcome
from skyhooks.store import open_async_store, open_store
from skyhooks.store.base import AsyncStore, Store
from tests.conftest import Spawn
from tests.mongod import ReplicaSet, empty
from tests.processes import Process, eventually
from tests.servers.numbers import HOST, serve
from tests.unit.gateway.stores import until

CHANNEL = "numbers"
NODE = Path(__file__).with_name("bridge_node.py")
ROOT = Path(__file__).parents[2]


def url_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    if kind == "mongodb":
        server: ReplicaSet = request.getfixturevalue("mongodb")
        return empty(server, "bridge")
    return f"sqlite://{folder / 's.db'}" if kind == "sqlite" else "memory://"


@pytest.fixture(params=["memory", "sqlite", "mongodb"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncStore]:
    opened = open_async_store(url_of(request.param, request, tmp_path))
    yield opened
    await opened.close()


@pytest.fixture(params=["sqlite", "mongodb"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that several processes have in common."""
    return url_of(request.param, request, tmp_path)


class Node:
    """A bridge with an appender of its own. What it appends waits while its `gate` is shut."""

    def __init__(self, store: AsyncStore, port: int) -> None:
        self.appender = Appender(store, lambda drafts, outcomes: None, count=256, size=1 << 25)
        self.gate = asyncio.Event()
        self.gate.set()
        self.bridge = Bridge(CHANNEL, open_feed(f"numbers://{HOST}:{port}"), self._append, store.head)
        self.held = 0

    async def _append(self, drafts: Sequence[Draft]) -> list[Outcome]:
        self.held = len(drafts)
        await self.gate.wait()
        return await self.appender.append(drafts)

    def lead(self, term: int) -> "asyncio.Task[None]":
        return asyncio.create_task(self.bridge.lead(term))


async def numbers(store: AsyncStore) -> list[int]:
    found, after = [], 0
    while (page := await store.read(CHANNEL, after)).publications:
        found += [json.loads(one.data)["number"] for one in page.publications if not one.control]
        after = page.publications[-1].offset
    return found


async def grown(store: AsyncStore, count: int) -> list[int]:
    """The numbers, once there are `count` more than now."""
    wanted = len(await numbers(store)) + count
    async with asyncio.timeout(30):
        while len(found := await numbers(store)) < wanted:
            await asyncio.sleep(0.02)
    return found


def assert_contiguous(found: Sequence[int]) -> None:
    assert all(after == before + 1 for before, after in pairwise(found)), found


async def ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_leaders_that_are_cancelled_in_the_middle_leave_no_hole_and_no_repeat(
    spawn: Spawn, store: AsyncStore
) -> None:
    server = serve(spawn)
    for term in range(1, 6):
        leading = Node(store, server.port).lead(term)
        await grown(store, 15)
        await ended(leading)
    found = await numbers(store)
    assert len(found) >= 75
    assert_contiguous(found)


async def test_a_leader_that_does_not_know_it_is_refused(spawn: Spawn, store: AsyncStore) -> None:
    server = serve(spawn)
    old, new = Node(store, server.port), Node(store, server.port)
    first = old.lead(1)
    await grown(store, 10)
    old.gate.clear()
    await until(lambda: server.status()["clients"] == 1)
    old.held = 0
    await until(lambda: old.held > 0)
    second = new.lead(2)
    await grown(store, 10)
    old.gate.set()
    with pytest.raises(Deposed):
        await asyncio.wait_for(first, 20)
    assert (old.bridge.refusals, new.bridge.refusals) == (1, 0)
    found = await grown(store, 10)
    assert_contiguous(found)
    await until(lambda: server.status()["clients"] == 1)
    await ended(second)
    await new.appender.close()  # what it had taken is still being committed
    head = await store.head(CHANNEL)
    assert head is not None
    assert (head.fence, head.cursor) == (2, f"{server.status()['epoch']}-{(await numbers(store))[-1]}")


async def test_two_who_both_take_themselves_for_the_leader_again_and_again(spawn: Spawn, store: AsyncStore) -> None:
    server = serve(spawn)
    nodes = [Node(store, server.port) for _ in range(2)]
    running: list[asyncio.Task[None]] = []
    for term in range(1, 9):
        running.append(nodes[term % 2].lead(term))
        await grown(store, 5)
    await until(lambda: all(task.done() for task in running[:-1]))
    assert all(isinstance(task.exception(), Deposed) for task in running[:-1])
    assert sum(node.bridge.refusals for node in nodes) == 7
    assert_contiguous(await grown(store, 10))
    await ended(running[-1])


async def test_everybody_else_is_refused_by_a_bridged_channel(spawn: Spawn, store: AsyncStore) -> None:
    server = serve(spawn)
    node = Node(store, server.port)
    leading = node.lead(1)
    await grown(store, 1)
    (outcome,) = await node.appender.append([Draft(id="mine", channels=(CHANNEL,), data=b"1")])
    assert outcome.status == "fenced"
    await ended(leading)


@pytest.mark.parametrize("asleep", [1.0, 7.0])
def test_a_process_that_slept_writes_nothing_late(spawn: Spawn, shared_url: str, asleep: float) -> None:
    """Seven seconds are more than its patience with a silent server; one is less."""
    server = serve(spawn, 1200)
    store = open_store(shared_url)

    def lead(term: int) -> Process:
        url = f"numbers://{HOST}:{server.port}"
        argv = [sys.executable, str(NODE), shared_url, url, str(term)]
        process = spawn(argv, {"PYTHONPATH": str(ROOT)})
        process.wait_for(rf"bridge_leads.*term={term}")
        return process

    first = lead(1)
    eventually(lambda: len(logged(store)) >= 10, what="ten numbers")
    os.kill(first.pid, signal.SIGSTOP)
    lead(2)
    slept = len(logged(store)) + int(asleep * 20)
    eventually(lambda: len(logged(store)) >= slept, what=f"{asleep} s of numbers without it")
    os.kill(first.pid, signal.SIGCONT)
    assert first.wait_for("deposed")
    assert "deposed refusals=1" in first.output
    assert first.wait() == 0
    eventually(lambda: server.status()["clients"] == 1, what="its connection is gone")
    more = len(logged(store)) + 10
    eventually(lambda: len(logged(store)) >= more)
    assert_contiguous(logged(store))
    store.close()


def logged(store: Store) -> list[int]:
    found, after = [], 0
    while (page := store.read(CHANNEL, after)).publications:
        found += [json.loads(one.data)["number"] for one in page.publications if not one.control]
        after = page.publications[-1].offset
    return found
