import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from gateway.hub.encoding import STREAM
from gateway.subscriptions import Subscriptions
from skyhooks.publication import START, Position, Publication
from skyhooks.store.base import Head
from skyhooks.store.threaded import ThreadedStore
from tests.unit.gateway.hub.sinks import Pipe
from tests.unit.gateway.stores import Switched, draft, until


class Bench:
    def __init__(self, store: Switched | None = None) -> None:
        self.store = store or Switched()
        self.subscriptions = Subscriptions(ThreadedStore(self.store), incarnation="run", count=3, size=1 << 20)

    def append(self, *values: int, told: bool = True) -> Position:
        """Commit values; `told` is whether this node hears of it, as it does of its own commits."""
        for value in values:
            (outcome,) = self.store.append([draft(f"p{value}", data=b"%d" % value)])
            position = outcome.positions["accounts/a"]
            if told:
                publication = Publication(f"p{value}", position.offset, b"%d" % value)
                self.subscriptions.hub.offer("accounts/a", position.epoch, publication)
        return position

    async def subscribe(self, since: Position | None = None) -> Pipe:
        subscriber = await self.subscriptions.subscribe("accounts/a", STREAM, since, durable=True)
        pipe = Pipe()
        subscriber.opened(pipe)
        return pipe


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.subscriptions.close()


async def test_what_is_older_than_the_ring_comes_from_the_log(bench: Bench) -> None:
    bench.append(*range(1, 1201), told=False)
    pipe = await bench.subscribe(START)
    await until(lambda: len(pipe.data) == 1200)
    bench.append(1201)
    await until(lambda: pipe.data == list(range(1, 1202)))


async def test_subscribers_at_the_same_place_share_a_read(bench: Bench) -> None:
    bench.append(*range(1, 11), told=False)
    pipes = [await bench.subscribe(START) for _ in range(20)]
    await until(lambda: all(pipe.data == list(range(1, 11)) for pipe in pipes))
    assert bench.store.reads == 1


async def test_a_hole_is_filled_from_the_log(bench: Bench) -> None:
    pipe = await bench.subscribe()
    await until(lambda: pipe.lines)
    bench.append(1, 2, told=False)
    bench.append(3)
    await until(lambda: pipe.data == [1, 2, 3])


async def test_a_position_from_another_node_is_not_taken_for_an_old_history(bench: Bench) -> None:
    first = await bench.subscribe()
    await until(lambda: first.lines)
    position = bench.append(1, 2, told=False)  # the channel's first rows, which this node has not heard of
    pipe = await bench.subscribe(position)
    bench.append(3)
    await until(lambda: pipe.data == [3])
    assert "gap" not in pipe.lines[0]


class Held(Switched):
    """A store whose heads are read at once or late (`first`), and whose answers wait at a gate."""

    def __init__(self, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.reading = threading.Event()
        self.answer = threading.Event()

    def head(self, channel: str) -> Head | None:
        found = super().head(channel) if self.first else None
        self.reading.set()
        self.answer.wait(10)
        return found if self.first else super().head(channel)


async def test_what_is_published_after_a_subscriber_was_answered_reaches_it_however_late_the_head_is_read() -> None:
    bench = Bench(Held(first=False))
    pipe = await bench.subscribe()
    bench.append(1)
    bench.store.answer.set()
    await until(lambda: pipe.data == [1])
    await bench.subscriptions.close()


async def test_a_position_from_another_node_is_judged_by_a_head_that_was_read_after_it_came() -> None:
    bench = Bench(Held(first=True))
    await bench.subscribe()
    await until(bench.store.reading.is_set)
    position = bench.append(1, told=False)
    coming = asyncio.create_task(bench.subscribe(position))
    await asyncio.sleep(0.05)
    bench.store.answer.set()
    pipe = await coming
    await until(lambda: pipe.lines)
    bench.append(2)
    await until(lambda: pipe.data == [2])
    assert "gap" not in pipe.lines[0]
    await bench.subscriptions.close()


async def test_a_read_that_fails_is_tried_again_until_it_succeeds(bench: Bench) -> None:
    bench.append(1, 2, 3, 4, 5, told=False)
    bench.store.away = True
    pipe = await bench.subscribe(START)
    await asyncio.sleep(0.1)
    assert pipe.lines == []
    bench.store.away = False
    await until(lambda: pipe.data == [1, 2, 3, 4, 5])


async def test_reading_stops_when_nobody_waits_any_more(bench: Bench) -> None:
    bench.append(1, told=False)
    live = await bench.subscribe()
    await until(lambda: live.lines)
    bench.store.away = True
    subscriber = await bench.subscriptions.subscribe("accounts/a", STREAM, START, durable=True)
    subscriber.opened(Pipe())
    subscriber.closed()
    await until(lambda: not bench.subscriptions._tasks)
