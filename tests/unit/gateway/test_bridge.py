"""A bridge between a feed that a test scripts and a real store that a test can take away."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from gateway.bridge import BATCH, BATCH_BYTES, WAITING, Bridge, Deposed
from gateway.feeds.feed import FeedError, Item
from skyhooks.backoff import Backoff
from skyhooks.errors import Refused, StoreUnavailable, StoreUnusable
from skyhooks.publication import Draft, Outcome, Publication
from skyhooks.store.threaded import ThreadedStore
from tests.unit.gateway.stores import Switched, draft, until

CHANNEL = "numbers"


class Quick(Backoff, frozen=True):
    """Waits hardly at all, and notes in `attempts` which ones it was asked about."""

    attempts: list[int]

    def delay(self, attempt: int, random: Callable[[], float]) -> float:
        self.attempts.append(attempt)
        return 0.001


class Counting:
    """A feed with positions: the numbers up to `last`; what it raises after each `breaks` of them is up to a test."""

    def __init__(self, last: int, breaks: int = 0, error: Exception | None = None) -> None:
        self.last = last
        self.listeners = 0
        self.asked: list[str] = []
        self.given = 0
        self._breaks = breaks
        self._error = error

    async def items(self, cursor: str) -> AsyncIterator[Item]:
        self.asked.append(cursor)
        self.listeners += 1
        try:
            number = int(cursor or 0)
            while True:
                if number >= self.last:
                    await asyncio.sleep(0.001)
                    continue
                number += 1
                self.given += 1
                yield Item(json.dumps(number).encode(), str(number))
                if self._breaks and number % self._breaks == 0:
                    if self._error is not None:
                        raise self._error
                    return
        finally:
            self.listeners -= 1


class Placeless:
    """A feed without positions: what is put into it comes out once."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def items(self, cursor: str) -> AsyncIterator[Item]:
        assert cursor == ""
        while True:
            yield Item(await self.queue.get())


class Stage:
    """A log, and bridges into it."""

    def __init__(self) -> None:
        self.store = Switched()
        self.log = ThreadedStore(self.store)
        self.backoff = Quick(attempts=[])
        self.running: list[asyncio.Task[None]] = []

    def bridge(self, feed: object) -> Bridge:
        return Bridge(CHANNEL, feed, self.append, self.log.head, self.backoff)  # type: ignore[arg-type]

    async def append(self, drafts: Sequence[Draft]) -> list[Outcome]:
        return await self.log.append(drafts)

    def lead(self, bridge: Bridge, term: int) -> "asyncio.Task[None]":
        self.running.append(asyncio.create_task(bridge.lead(term)))
        return self.running[-1]

    def rows(self) -> list[Publication]:
        away, self.store.away = self.store.away, False
        page = self.store.read(CHANNEL, 0, 1_000_000, 1 << 40)
        self.store.away = away
        return list(page.publications)

    @property
    def numbers(self) -> list[int]:
        return [json.loads(row.data) for row in self.rows() if not row.control]

    async def close(self) -> None:
        self.store.gate.set()
        self.store.away = False
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)
        await self.log.close()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    yield made
    await made.close()


async def test_items_come_into_the_channel_in_order_under_the_term(stage: Stage) -> None:
    stage.lead(stage.bridge(Counting(200)), 7)
    await until(lambda: len(stage.numbers) == 200)
    assert stage.numbers == list(range(1, 201))
    head = stage.store.head(CHANNEL)
    assert head is not None
    assert (head.fence, head.cursor, head.offset) == (7, "200", 201)
    assert [row.control for row in stage.rows()] == [True] + [False] * 200


async def test_the_next_leader_goes_on_where_the_log_ends(stage: Stage) -> None:
    first, second = Counting(10), Counting(20)
    leading = stage.lead(stage.bridge(first), 1)
    await until(lambda: len(stage.numbers) == 10)
    leading.cancel()
    stage.lead(stage.bridge(second), 2)
    await until(lambda: len(stage.numbers) == 20)
    assert stage.numbers == list(range(1, 21))
    assert second.asked == ["10"]
    assert sum(row.control for row in stage.rows()) == 2


async def test_a_leader_that_does_not_know_it_is_refused_and_gives_its_feed_up(stage: Stage) -> None:
    old, new = Counting(10), Counting(20)
    bridge = stage.bridge(old)
    leading = stage.lead(bridge, 1)
    await until(lambda: len(stage.numbers) == 10)
    stage.lead(stage.bridge(new), 2)
    await until(lambda: len(stage.numbers) == 20)
    old.last = 15  # what it brings late, the other one has brought already
    with pytest.raises(Deposed, match="under term 1 was refused: another node leads"):
        await leading
    assert bridge.refusals == 1
    assert old.listeners == 0
    assert stage.numbers == list(range(1, 21))


async def test_an_older_term_cannot_take_over(stage: Stage) -> None:
    stage.lead(stage.bridge(Counting(3)), 5)
    await until(lambda: len(stage.numbers) == 3)
    late, feed = stage.bridge(Counting(9)), Counting(9)
    with pytest.raises(Deposed):
        await late.lead(4)
    assert (late.refusals, feed.asked) == (1, [])


async def test_a_leader_deposed_between_its_control_row_and_reading_it_back_stops(stage: Stage) -> None:
    async def overtaken(drafts: Sequence[Draft]) -> list[Outcome]:
        outcomes = stage.store.append(drafts)
        stage.store.append([Draft(id="term:2", channels=(CHANNEL,), data=b"null", fence=2, control=True)])
        return outcomes

    feed = Counting(3)
    bridge = Bridge(CHANNEL, feed, overtaken, stage.log.head, stage.backoff)
    with pytest.raises(Deposed, match="of term 2, not 1"):
        await bridge.lead(1)
    assert (bridge.refusals, feed.asked, stage.numbers) == (1, [], [])


async def test_everybody_else_is_refused_by_a_bridged_channel(stage: Stage) -> None:
    stage.lead(stage.bridge(Counting(1)), 1)
    await until(lambda: len(stage.numbers) == 1)
    (outcome,) = stage.store.append([draft("mine", CHANNEL)])
    assert outcome.status == "fenced"


async def test_while_the_store_is_away_the_same_is_tried_again(stage: Stage) -> None:
    feed = Counting(5)
    stage.lead(stage.bridge(feed), 1)
    await until(lambda: len(stage.numbers) == 5)
    stage.store.away = True
    feed.last = 300
    await until(lambda: len(stage.backoff.attempts) > 5)
    assert stage.backoff.attempts[:5] == [0, 1, 2, 3, 4]
    stage.store.away = False
    await until(lambda: len(stage.numbers) == 300)
    assert stage.numbers == list(range(1, 301))
    assert feed.asked == [""]


async def test_a_take_over_waits_for_the_store(stage: Stage) -> None:
    stage.store.away = True
    stage.lead(stage.bridge(Counting(5)), 1)
    await until(lambda: len(stage.backoff.attempts) > 3)
    stage.store.away = False
    await until(lambda: len(stage.numbers) == 5)


async def test_an_append_without_an_answer_is_repeated_without_harm(stage: Stage) -> None:
    calls = 0

    async def unsure(drafts: Sequence[Draft]) -> list[Outcome]:
        nonlocal calls
        calls += 1
        outcomes = stage.store.append(drafts)
        if calls % 2:
            raise StoreUnavailable("done, but the answer was lost")
        return outcomes

    bridge = Bridge(CHANNEL, Counting(300), unsure, stage.log.head, stage.backoff)
    stage.lead(bridge, 1)
    await until(lambda: len(stage.numbers) == 300)
    assert stage.numbers == list(range(1, 301))
    assert sum(row.control for row in stage.rows()) == 1


async def test_a_node_that_is_too_busy_is_waited_for(stage: Stage) -> None:
    refusals = iter(range(3))

    async def busy(drafts: Sequence[Draft]) -> list[Outcome]:
        if next(refusals, None) is not None:
            raise Refused("busy", "too much waits", 503)
        return stage.store.append(drafts)

    stage.lead(Bridge(CHANNEL, Counting(5), busy, stage.log.head, stage.backoff), 1)
    await until(lambda: len(stage.numbers) == 5)


async def test_a_store_that_will_never_work_is_raised(stage: Stage) -> None:
    async def broken(drafts: Sequence[Draft]) -> list[Outcome]:
        raise StoreUnusable("no permission")

    with pytest.raises(StoreUnusable):
        await Bridge(CHANNEL, Counting(5), broken, stage.log.head, stage.backoff).lead(1)


@pytest.mark.parametrize(
    "error", [None, FeedError("it hangs"), ConnectionRefusedError("nobody"), ValueError("a bug in a feed")]
)
async def test_a_feed_that_breaks_off_is_asked_again_from_where_it_was(stage: Stage, error: Exception | None) -> None:
    feed = Counting(12, breaks=4, error=error)
    stage.lead(stage.bridge(feed), 1)
    await until(lambda: feed.asked[-1:] == ["12"])
    await until(lambda: len(stage.numbers) == 12)
    assert feed.asked == ["", "4", "8", "12"]
    assert stage.numbers == list(range(1, 13))


async def test_a_feed_that_fails_each_time_is_asked_ever_more_rarely(stage: Stage) -> None:
    feed = Counting(1_000_000, breaks=1)
    stage.lead(stage.bridge(feed), 1)
    await until(lambda: len(feed.asked) > 20)
    attempts = stage.backoff.attempts
    assert attempts == list(range(len(attempts))), "one that gives a little and fails again counts as failing"


async def test_a_feed_without_positions_is_counted_by_the_leader(stage: Stage) -> None:
    feed = Placeless()
    stage.lead(stage.bridge(feed), 3)
    for _ in range(5):
        feed.queue.put_nowait(b"1")
    await until(lambda: len(stage.numbers) == 5)
    head = stage.store.head(CHANNEL)
    assert head is not None
    assert head.cursor == "#3:5"


async def test_leading_again_under_the_same_term_swallows_nothing(stage: Stage) -> None:
    feed = Placeless()
    bridge = stage.bridge(feed)
    for expected in (2, 4):
        leading = stage.lead(bridge, 3)
        for _ in range(2):
            feed.queue.put_nowait(b"1")
        await until(lambda: len(stage.numbers) == expected)  # noqa: B023
        leading.cancel()
        await asyncio.gather(leading, return_exceptions=True)
    assert sum(row.control for row in stage.rows()) == 1


async def test_what_is_ready_goes_together_and_never_two_appends_at_a_time(stage: Stage) -> None:
    under_way = most = 0

    async def watched(drafts: Sequence[Draft]) -> list[Outcome]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.002)
        under_way -= 1
        return stage.store.append(drafts)

    stage.lead(Bridge(CHANNEL, Counting(1000), watched, stage.log.head, stage.backoff), 1)
    await until(lambda: len(stage.numbers) == 1000)
    assert most == 1
    assert max(stage.store.batches) == BATCH
    assert len(stage.store.batches) < 100
    assert stage.numbers == list(range(1, 1001))


async def test_large_items_make_small_appends(stage: Stage) -> None:
    feed = Placeless()
    large = b'"%s"' % (b"x" * (BATCH_BYTES // 3))
    for _ in range(7):
        feed.queue.put_nowait(large)
    stage.lead(stage.bridge(feed), 1)
    await until(lambda: len(stage.rows()) == 8)
    assert max(stage.store.batches) <= 3


async def test_a_feed_is_not_read_far_ahead_of_the_store(stage: Stage) -> None:
    feed = Counting(10_000)
    stage.lead(stage.bridge(feed), 1)
    await until(lambda: stage.numbers)
    stage.store.away = True
    tries = len(stage.backoff.attempts)
    await until(lambda: len(stage.backoff.attempts) > tries + 20)
    assert feed.given - len(stage.numbers) <= WAITING + BATCH + 1


@pytest.mark.parametrize("seed", range(5))
async def test_it_may_be_cancelled_at_any_moment(stage: Stage, seed: int) -> None:
    bridges = [stage.bridge(Counting(500)) for _ in range(2)]
    for term in range(1, 40):
        leading = stage.lead(bridges[term % 2], term)
        for _ in range((term * 7 + seed) % 23):
            await asyncio.sleep(0)
        if term % 3 == 0:
            await until(lambda: len(stage.numbers) > 0)
        leading.cancel()
    feed = Counting(500)
    stage.lead(stage.bridge(feed), 40)
    await until(lambda: len(stage.numbers) >= 500)
    assert stage.numbers == list(range(1, 501))
