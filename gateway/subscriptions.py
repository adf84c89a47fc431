"""Between the hub, which never waits, and the log, which does: opens channels, fills holes, replays, sweeps.

Reads for one channel never run twice at a time, and subscribers that stand at the same offset share a page. A
failed read is tried again with backoff as long as somebody waits for it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

import structlog

from gateway.hub.channel import Channel
from gateway.hub.encoding import Encoding
from gateway.hub.hub import Hub
from gateway.hub.subscriber import State, Subscriber
from skyhooks.backoff import Backoff
from skyhooks.errors import StoreError
from skyhooks.publication import Position
from skyhooks.store.base import AsyncStore

log = structlog.get_logger()

T = TypeVar("T")

SHARE = 200
"""Subscribers that are written a page in one turn of the loop."""


class Topics(Protocol):
    """Where this node says which channels it wants to hear of from other nodes. Neither call waits."""

    def subscribe(self, channel: str) -> None:
        """Hear of a channel."""
        ...

    def unsubscribe(self, channel: str) -> None:
        """Hear of it no more."""
        ...


class Subscriptions:
    """The hub's `Work`, on one event loop. Without `topics` this node hears of others through the log alone."""

    def __init__(
        self,
        store: AsyncStore,
        *,
        incarnation: str,
        count: int,
        size: int,
        most: int = 100_000,
        topics: Topics | None = None,
    ) -> None:
        self.hub = Hub(self, incarnation=incarnation, count=count, size=size, most=most)
        self._store = store
        self._topics = topics
        self._tasks: set[asyncio.Task[None]] = set()
        self._filling: set[Channel] = set()
        self._again: set[Channel] = set()
        self._replays: dict[tuple[Channel, int], list[Subscriber]] = {}
        self._backoff = Backoff(first=0.05, most=2.0)

    async def subscribe(self, name: str, encoding: Encoding, since: Position | None, *, durable: bool) -> Subscriber:
        """A subscriber of a channel, to be handed to the edge as its peer."""
        return Subscriber(await self.channel(name, since, durable=durable), encoding, since)

    async def channel(self, name: str, since: Position | None, *, durable: bool) -> Channel:
        """A channel that somebody is about to follow from `since`.

        Raises `StoreUnavailable` when the log would have to say what the position means, `Refused`
        (``too_many_channels``).
        """
        channel = self.hub.channel(name, durable=durable)
        channel.idle_since = None
        if durable and since is not None and self._is_news(channel, since):
            # The position comes from another node, so this one reads the log's head before it judges it.
            head = await self._store.head(name)
            if head is not None:
                channel.announce(head.position)
        return self.hub.channel(name, durable=durable)

    def subscribers(self, name: str) -> int:
        """How many a channel has on this node."""
        channel = self.hub.channels.get(name)
        return channel.subscribers if channel else 0

    async def close(self) -> None:
        """Stop reading."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @staticmethod
    def _is_news(channel: Channel, since: Position) -> bool:
        if not since.epoch:
            return False
        return since.epoch != channel.epoch or since.offset > channel.ring.head

    # What the hub asks (`Work`).

    def serve(self, name: str) -> None:
        """Hear of a channel from the other nodes."""
        if self._topics is not None:
            self._topics.subscribe(name)

    def drop(self, name: str) -> None:
        """Hear of it no more."""
        if self._topics is not None:
            self._topics.unsubscribe(name)

    def wake(self) -> None:
        """Flush at the end of this turn."""
        asyncio.get_running_loop().call_soon(self.hub.flush)

    def open(self, channel: Channel) -> None:
        """Read the channel's head and open it."""
        self._start(self._open(channel), f"open {channel.name}")

    def fill(self, channel: Channel) -> None:
        """Read what follows the ring's head."""
        if channel in self._filling:
            self._again.add(channel)
        else:
            self._filling.add(channel)
            self._start(self._fill(channel), f"fill {channel.name}")

    def replay(self, channel: Channel, subscriber: Subscriber) -> None:
        """Read what follows the subscriber's cursor, once for all who stand there."""
        key = (channel, subscriber.cursor)
        waiting = self._replays.get(key)
        if waiting is not None:
            if len(waiting) % SHARE == 0:
                # Those who have left in the meantime: while the log is away many may come and go.
                waiting[:] = [one for one in waiting if one.state is State.FETCHING]
            waiting.append(subscriber)
        else:
            self._replays[key] = [subscriber]
            self._start(self._replay(*key), f"replay {channel.name}")

    async def _open(self, channel: Channel) -> None:
        head = await self._insist(lambda: self._store.head(channel.name), lambda: self._served(channel))
        channel.open(head.epoch if head else "", head.offset if head else 0)

    async def _fill(self, channel: Channel) -> None:
        try:
            while True:
                self._again.discard(channel)
                epoch = channel.epoch
                page = await self._insist(
                    lambda: self._store.read(channel.name, channel.ring.head), lambda: self._served(channel)
                )
                if channel.epoch in (epoch, page.epoch) and epoch in ("", channel.epoch):
                    channel.filled(page)
                else:
                    # The history has changed since, so what was asked for means something else now.
                    self._again.add(channel)
                if channel not in self._again:
                    return
        finally:
            self._filling.discard(channel)
            self._again.discard(channel)

    async def _replay(self, channel: Channel, after: int) -> None:
        key = (channel, after)

        def wanted() -> bool:
            return any(one.state is State.FETCHING for one in self._replays[key])

        try:
            page = await self._insist(lambda: self._store.read(channel.name, after), wanted)
        finally:
            subscribers = self._replays.pop(key)
        for start in range(0, len(subscribers), SHARE):
            channel.replayed(subscribers[start : start + SHARE], page)
            await asyncio.sleep(0)

    def _served(self, channel: Channel) -> bool:
        return self.hub.channels.get(channel.name) is channel

    async def _insist(self, read: Callable[[], Awaitable[T]], wanted: Callable[[], bool]) -> T:
        """The answer of `read`, however often it takes; cancels the task once nobody wants it any more."""
        attempt = 0
        while True:
            try:
                return await read()
            except StoreError as error:
                log.warning("log_unreadable", attempt=attempt, error=str(error))
            await asyncio.sleep(self._backoff.delay(attempt, random.random))
            attempt += 1
            if not wanted():
                raise asyncio.CancelledError

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("log_read_failed", task=task.get_name(), exc_info=error)
