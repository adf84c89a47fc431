"""A bridge: brings a feed into a channel while this node leads, fenced by its term.

Theory of operation. A new leader first writes a control row under its term; from then on the store refuses everyone
with an older one. It reads the row back, and takes from it where the feed stood: a row and the cursor of the feed are
one document, so what was published and how far the feed was read cannot differ. What comes is published in order, one
append at a time; an append that may or may not have worked is repeated, and the ids, which follow from term and cursor,
make a repeat harmless. A feed without positions gets them from the leader's own counting.

Where there is no log, `gateway.unlogged.Unlogged` stands in for it.
"""

import asyncio
import hashlib
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

import structlog

from gateway.feeds.feed import Feed, FeedError, Item
from skyhooks.backoff import Backoff
from skyhooks.errors import Refused, SkyhooksError, StoreUnavailable
from skyhooks.publication import Draft, Outcome
from skyhooks.store.base import Head

log = structlog.get_logger()

T = TypeVar("T")

BATCH: Final = 64
"""Items in one append."""
BATCH_BYTES: Final = 1024 * 1024
"""Bytes of data after which an append takes no further item."""
WAITING: Final = 2 * BATCH
"""Items that are read ahead of what is stored."""
OWN: Final = "#"
"""What the cursors begin with that are counted here, ``#TERM:NUMBER``."""

Append = Callable[[Sequence[Draft]], Awaitable[list[Outcome]]]
ReadHead = Callable[[str], Awaitable[Head | None]]


class Deposed(SkyhooksError):
    """A newer leader has written to the channel."""


class Bridge:
    """Brings `feed` into `channel`, through `append` and `head` of the log.

    `refusals` counts how often the store has refused this node because of a newer leader.
    """

    def __init__(
        self,
        channel: str,
        feed: Feed,
        append: Append,
        head: ReadHead,
        backoff: Backoff = Backoff(first=0.1, most=5.0),  # noqa: B008  # frozen
    ) -> None:
        self.channel = channel
        self.refusals = 0
        self._feed = feed
        self._append = append
        self._head = head
        self._backoff = backoff
        # Never set back: a leader may come to lead again under the same term, and an id must not come again with it.
        self._counted = 0

    async def lead(self, term: int) -> None:
        """Bring what comes until cancelled; that may be done at any moment.

        Raises `Deposed` once a newer leader has written, `StoreUnusable` when the store will never work.
        """
        cursor = await self._take_over(term)
        queue: asyncio.Queue[Item] = asyncio.Queue(WAITING)
        reading = asyncio.create_task(self._read(cursor, queue), name=f"feed {self.channel}")
        try:
            while True:
                await self._store([self._draft(item, term) for item in await _ready(queue)])
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _take_over(self, term: int) -> str:
        """Write under `term` for the first time; where the feed stands."""
        control = Draft(id=f"term:{term}", channels=(self.channel,), data=b"null", fence=term, control=True)
        await self._store([control])
        head = await self._insist(lambda: self._head(self.channel))
        if head is None or head.fence != term:
            raise self._refused(f"the newest row of {self.channel} is of term {head.fence if head else 0}, not {term}")
        log.info("bridge_leads", channel=self.channel, term=term, cursor=head.cursor or None)
        return "" if head.cursor.startswith(OWN) else head.cursor

    async def _store(self, drafts: Sequence[Draft]) -> None:
        """Append, however often it takes. Raises `Deposed`."""
        outcomes = await self._insist(lambda: self._append(drafts))
        if any(outcome.status == "fenced" for outcome in outcomes):
            raise self._refused(f"an append to {self.channel} under term {drafts[0].fence} was refused")

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer of the store, which may be away for a while."""
        attempt = 0
        while True:
            try:
                return await ask()
            except (StoreUnavailable, Refused) as error:
                # Refused: too much waits to be committed.
                if attempt == 0:
                    log.warning("bridge_waits", channel=self.channel, error=str(error))
            await asyncio.sleep(self._backoff.delay(attempt, random.random))
            attempt += 1

    async def _read(self, cursor: str, queue: "asyncio.Queue[Item]") -> None:
        """Read the feed for ever, beginning again where it broke off."""
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            began, problem = loop.time(), "it has ended"
            items = self._feed.items(cursor)
            try:
                async for item in items:
                    await queue.put(item)
                    cursor = item.cursor or cursor
            except (FeedError, OSError) as error:
                problem = str(error) or repr(error)
            except Exception as error:
                problem = repr(error)
                log.exception("feed_broken", channel=self.channel)
            finally:
                # Not left to the garbage collector: it may hold a connection.
                if isinstance(items, AsyncGenerator):
                    await items.aclose()
            if loop.time() - began > self._backoff.most:
                attempt = 0
            if attempt == 0:
                log.warning("feed_lost", channel=self.channel, problem=problem, then="trying again with backoff")
            await asyncio.sleep(self._backoff.delay(attempt, random.random))
            attempt += 1

    def _draft(self, item: Item, term: int) -> Draft:
        cursor = item.cursor
        if not cursor:
            self._counted += 1
            cursor = f"{OWN}{term}:{self._counted}"
        name = hashlib.blake2b(cursor.encode(), digest_size=16).hexdigest()
        # With the term in it: what an old leader brings late is refused for its fence, and not taken for a repeat.
        return Draft(id=f"feed:{term}:{name}", channels=(self.channel,), data=item.data, fence=term, cursor=cursor)

    def _refused(self, why: str) -> Deposed:
        self.refusals += 1
        return Deposed(f"{why}: another node leads")


async def _ready(queue: "asyncio.Queue[Item]") -> list[Item]:
    """What has come, at least one item and at most what one append takes."""
    items = [await queue.get()]
    size = len(items[0].data)
    while len(items) < BATCH and size < BATCH_BYTES and not queue.empty():
        items.append(queue.get_nowait())
        size += len(items[-1].data)
    return items
