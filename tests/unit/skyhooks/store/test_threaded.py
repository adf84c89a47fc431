import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from skyhooks.channel import Retention
from skyhooks.errors import StoreUnavailable
from skyhooks.publication import Draft, Outcome
from skyhooks.registry import hook_of, node_lease
from skyhooks.store.base import JournalEntry, Trimmed
from skyhooks.store.memory import MemoryStore
from skyhooks.store.threaded import ThreadedStore
from tests.contract.drafts import ACME, draft


class SlowDisk(MemoryStore):
    """A store whose commits wait until a test lets them through."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = threading.Event(), threading.Event()

    def append(self, drafts: Sequence[Draft]) -> list[Outcome]:
        self.begun.set()
        assert self.go.wait(30)
        return super().append(drafts)


@pytest.fixture
async def store() -> AsyncIterator[ThreadedStore]:
    store = ThreadedStore(MemoryStore())
    yield store
    await store.close()


async def test_every_facet_is_awaitable(store: ThreadedStore) -> None:
    mark = (await store.news(None)).mark
    (outcome,) = await store.append([draft("1")])
    head = await store.head(ACME)
    assert head is not None
    assert head.position == outcome.positions[ACME]
    assert [publication.id for publication in (await store.read(ACME, 0)).publications] == ["1"]
    assert (await store.news(mark)).heads == outcome.positions
    assert await store.trim("accounts", Retention()) == Trimmed()
    lease = await store.lease(node_lease("n1"), "n1", 10)
    assert lease is not None
    assert [one.name for one in await store.leases("nodes/")] == ["nodes/n1"]
    hook = await store.add_hook(hook_of({"account_id": 7}, "http://n1/hooks", "gateway", "n1"))
    assert await store.hooks({"account_id": "7"}, "gateway") == [hook]
    assert await store.release(lease.name, "n1", lease.term)
    assert await store.sweep_hooks() == 0
    assert await store.remove_hook(hook.id)
    assert await store.sweep_results() == 0
    await store.add_journal([JournalEntry(event="stored", node="n1")])
    assert [entry.event for entry in await store.journal()] == ["stored"]
    assert await store.trim_journal(60) == 0
    assert store.url == "memory://"


async def test_reading_does_not_wait_for_a_commit() -> None:
    slow = SlowDisk()
    store = ThreadedStore(slow)
    writing = asyncio.create_task(store.append([draft("1")]))
    await asyncio.to_thread(slow.begun.wait, 30)
    assert (await store.read(ACME, 0)).head == 0
    assert not writing.done()
    slow.go.set()
    await writing
    await store.close()


async def test_writes_happen_in_the_order_of_the_calls() -> None:
    slow = SlowDisk()
    store = ThreadedStore(slow)
    writing = [asyncio.create_task(store.append([draft(str(n))])) for n in range(20)]
    await asyncio.to_thread(slow.begun.wait, 30)
    slow.go.set()
    outcomes = [(await one)[0] for one in writing]
    assert [outcome.positions[ACME].offset for outcome in outcomes] == list(range(1, 21))
    await store.close()


async def test_closing_waits_for_what_was_begun() -> None:
    slow = SlowDisk()
    store = ThreadedStore(slow)
    writing = asyncio.create_task(store.append([draft("1")]))
    await asyncio.to_thread(slow.begun.wait, 30)
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    assert not closing.done()
    slow.go.set()
    await closing
    assert (await writing)[0].status == "stored"


async def test_an_outage_is_raised_where_the_call_is_awaited() -> None:
    class Broken(MemoryStore):
        def append(self, drafts: Sequence[Draft]) -> list[Outcome]:
            raise StoreUnavailable("the disk is full")

    store = ThreadedStore(Broken())
    with pytest.raises(StoreUnavailable, match="disk is full"):
        await store.append([draft("1")])
    await store.close()
