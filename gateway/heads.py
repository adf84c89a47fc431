"""Hears of what other nodes have appended: compares the channels served here with the log, often and cheaply.

One query asks for everything new since the last look (invariant 5: a node that was told nothing finds out by
itself). A slow sweep over every served channel catches what that query could have missed. Where nodes do not talk to
each other, a store that can tell of its changes says when to look.
"""

import asyncio
import random
from contextlib import suppress
from typing import Final

import structlog

from gateway.hub.hub import Hub
from skyhooks.backoff import Backoff
from skyhooks.errors import StoreError
from skyhooks.store.base import AsyncStore

log = structlog.get_logger()

TOGETHER_SECONDS: Final = 0.02
"""Between two looks that the store asks for."""
LOCAL_SECONDS: Final = 0.1
"""Between two looks at a log on this machine, where one that finds nothing costs next to nothing."""
REMOTE_SECONDS: Final = 0.5
"""Between two looks at a log on a server, which is asked by every node; at most 1 (invariant 5)."""


def pause_between(store_url: str, asked: float) -> float:
    """Seconds between two looks at a store: `asked`, or what suits it if that is 0."""
    return asked or (REMOTE_SECONDS if store_url.startswith("mongodb") else LOCAL_SECONDS)


class Heads:
    """Looks for news every `pause` seconds and at every channel every `sweep` seconds, and after an outage."""

    def __init__(self, store: AsyncStore, hub: Hub, *, pause: float, sweep: float) -> None:
        self._store = store
        self._hub = hub
        self._pause = pause
        self._sweep = sweep
        self._backoff = Backoff(first=0.1, most=5.0)
        self._mark: int | None = None
        self._failing = False
        self._due = asyncio.Event()
        self._grown = asyncio.Event()

    async def run(self) -> None:
        """Look for news until cancelled; an unavailable store is looked at again."""
        while True:
            try:
                first = self._mark is None
                await self._look()
                if first or self._failing:
                    # What was appended before there was a mark, or while nobody could look, is no news.
                    self._due.set()
                self._said(None)
            except StoreError as error:
                self._said(error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._grown.wait(), self._pause)
            self._grown.clear()

    async def listen(self) -> None:
        """Look as soon as the store says that it has changed, until cancelled; beside `run`, which goes on anyhow."""
        attempt = 0
        while True:
            with suppress(StoreError):  # `run` says so
                async for _ in self._store.changes():
                    attempt = 0
                    self._grown.set()
                    # What comes together is looked at together.
                    await asyncio.sleep(TOGETHER_SECONDS)
                # It cannot tell.
                await asyncio.Event().wait()
            await asyncio.sleep(self._backoff.delay(attempt, random.random))
            attempt += 1

    async def compare(self) -> None:
        """Compare every served channel with the log, now and then, until cancelled. Beside `run`: it may take long."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), self._sweep)
            self._due.clear()
            try:
                for name in [name for name, channel in self._hub.channels.items() if channel.durable]:
                    head = await self._store.head(name)
                    if head is not None:
                        self._hub.announce(name, head.position)
            except StoreError:
                # `run` says so, and asks for another comparison once the store is back.
                continue

    async def _look(self) -> None:
        news = await self._store.news(self._mark)
        self._mark = news.mark
        for name, position in news.heads.items():
            self._hub.announce(name, position)

    def _said(self, error: StoreError | None) -> None:
        """Write one line when the log goes and one when it is back, not one each time."""
        if error is not None and not self._failing:
            log.warning("log_unreachable", error=str(error))
        elif error is None and self._failing:
            log.info("log_reachable")
        self._failing = error is not None
