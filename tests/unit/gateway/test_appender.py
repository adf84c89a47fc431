import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from gateway.appender import Appender
from skyhooks.errors import Refused, StoreUnavailable
from skyhooks.publication import Draft, Outcome
from skyhooks.store.threaded import ThreadedStore
from tests.unit.gateway.stores import Switched, draft, until


class Bench:
    def __init__(self) -> None:
        self.store = Switched()
        self.committed: list[str] = []
        self.appender = Appender(ThreadedStore(self.store), self.note, count=4, size=100)

    def note(self, drafts: Sequence[Draft], outcomes: Sequence[Outcome]) -> None:
        self.committed += [one.id for one in drafts]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    bench.store.gate.set()
    await bench.appender.close()


async def test_what_arrives_during_a_commit_goes_into_the_next_one(bench: Bench) -> None:
    bench.store.gate.clear()
    calls = [asyncio.create_task(bench.appender.append([draft(f"p{number}")])) for number in range(6)]
    await asyncio.sleep(0)
    bench.store.gate.set()
    outcomes = [(await call)[0].positions["accounts/a"].offset for call in calls]
    assert outcomes == [1, 2, 3, 4, 5, 6]
    assert sum(bench.store.batches) == 6
    assert max(bench.store.batches) == 4


async def test_a_request_is_never_split_over_commits(bench: Bench) -> None:
    bench.store.gate.clear()
    sizes = (1, 3, 3, 6)
    calls = [
        asyncio.create_task(bench.appender.append([draft(f"{call}.{number}") for number in range(size)]))
        for call, size in enumerate(sizes)
    ]
    await asyncio.sleep(0)
    bench.store.gate.set()
    answers = await asyncio.gather(*calls)
    assert [len(answer) for answer in answers] == list(sizes)
    assert bench.store.batches[-1] == 6


async def test_the_hub_hears_of_a_commit_before_the_sender_is_answered(bench: Bench) -> None:
    await bench.appender.append([draft("a"), draft("b")])
    assert bench.committed == ["a", "b"]


async def test_a_store_that_is_away_fails_the_batch_and_nothing_is_announced(bench: Bench) -> None:
    bench.store.away = True
    with pytest.raises(StoreUnavailable):
        await bench.appender.append([draft("a")])
    assert bench.committed == []
    bench.store.away = False
    (outcome,) = await bench.appender.append([draft("a")])
    assert outcome.status == "stored"


async def test_too_much_waiting_is_refused_and_the_rest_goes_through(bench: Bench) -> None:
    bench.store.gate.clear()
    first = asyncio.create_task(bench.appender.append([draft("first")]))
    await until(lambda: bench.appender._task is not None and not bench.appender._waiting)
    waiting = asyncio.create_task(bench.appender.append([draft("waiting", data=b"x" * 80)]))
    await until(lambda: bool(bench.appender._waiting))
    with pytest.raises(Refused) as refused:
        await bench.appender.append([draft("more", data=b"x" * 80)])
    assert (refused.value.status, refused.value.code) == (503, "busy")
    bench.store.gate.set()
    await asyncio.gather(first, waiting)
    assert bench.committed == ["first", "waiting"]


async def test_a_sender_that_went_away_does_not_disturb_the_commit(bench: Bench) -> None:
    bench.store.gate.clear()
    gone = asyncio.create_task(bench.appender.append([draft("gone")]))
    stays = asyncio.create_task(bench.appender.append([draft("stays")]))
    await asyncio.sleep(0)
    gone.cancel()
    bench.store.gate.set()
    assert (await stays)[0].status == "stored"
    await bench.appender.close()
    assert bench.committed == ["gone", "stays"]
