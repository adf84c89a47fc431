"""Every open connection of the edge: how many there are, of whom, and the one timer that they share."""

import asyncio
import math
from collections.abc import Coroutine
from typing import Any

import structlog

from gateway.edge.address import counting_key
from gateway.edge.head import Date
from gateway.edge.rate import Rates
from gateway.edge.settings import EdgeSettings
from gateway.edge.wheel import Wheel
from skyhooks.errors import Refused

log = structlog.get_logger()

TICK = 0.5


class Connections:
    """What the connections of one edge share. `stopping` makes the answer under way the last one of its connection."""

    def __init__(self, settings: EdgeSettings, loop: asyncio.AbstractEventLoop, tick: float = TICK) -> None:
        self.settings = settings
        self.loop = loop
        self.date = Date()
        self.wheel = Wheel(loop.time(), tick)
        self.open = 0
        self.stopping = False
        self._tick = tick
        self._timer: asyncio.TimerHandle | None = None
        self._by_address: dict[str, int] = {}
        self._rates = Rates(settings.requests_per_second, settings.requests_burst, settings.rate_addresses)
        self._turned_away = 0
        self._slowed_down = 0
        self._given_up = False
        self._orphans: set[asyncio.Task[None]] = set()
        self._empty: asyncio.Future[None] | None = None

    # -- counting

    def admit(self, peer: str) -> str | None:
        """Count a connection from `peer`; returns the key that `leave` wants back.

        Raises `Refused` (``too_many_connections``, 503 or 429).
        """
        if self.open >= self.settings.connections:
            self._turned_away += 1
            raise Refused("too_many_connections", "this node has no room for another connection", 503)
        key = counting_key(peer, self.settings.trusted_proxies)
        if key is not None:
            count = self._by_address.get(key, 0)
            if count >= self.settings.connections_per_address:
                self._turned_away += 1
                raise Refused("too_many_connections", f"{key} has {count} connections open, which is the limit", 429)
            self._by_address[key] = count + 1
        self.open += 1
        return key

    def leave(self, key: str | None) -> None:
        """A connection that was admitted under `key` is gone."""
        self.open -= 1
        if key is not None:
            count = self._by_address[key] - 1
            if count:
                self._by_address[key] = count
            else:
                del self._by_address[key]
        self._check_empty()

    def slow_down(self, key: str | None) -> None:
        """Count a request of the client with this counting key, None for one that is exempt.

        Raises `Refused` (``too_many_requests``, 429) above its rate.
        """
        wait = self._rates.take(key, self.loop.time()) if key is not None else 0.0
        if wait:
            self._slowed_down += 1
            rate = self.settings.requests_per_second
            raise Refused(
                "too_many_requests",
                f"{key} may make {rate:g} requests a second; come again in {wait:.1g} seconds",
                429,
                {"Retry-After": str(math.ceil(wait))},
            )

    # -- time

    def start(self) -> None:
        """Start the timer."""
        self._timer = self.loop.call_later(self._tick, self._turn)

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn(self) -> None:
        self.start()
        self.wheel.advance(self.loop.time())
        if self._turned_away:
            # One line a turn: a flood of connections must not become a flood of lines.
            log.warning("connections_refused", count=self._turned_away, open=self.open)
            self._turned_away = 0
        if self._slowed_down:
            log.warning("requests_refused", count=self._slowed_down)
            self._slowed_down = 0

    # -- tasks

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run `work` as a task of the edge's loop."""
        return self.loop.create_task(work)

    def adopt(self, task: "asyncio.Task[None]") -> None:
        """Keep a handler that goes on after its client has left."""
        self._orphans.add(task)
        if self._given_up:
            task.cancel()
        task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._orphans.discard(task)
        self._check_empty()

    # -- the end

    async def emptied(self, seconds: float) -> bool:
        """Wait until no connection and no handler is left; False when that took longer than `seconds`."""
        self._empty = self.loop.create_future()
        self._check_empty()
        done, _ = await asyncio.wait({self._empty}, timeout=seconds)
        self._empty = None
        return bool(done)

    def cancel_orphans(self) -> None:
        """Give up on handlers whose clients have left or are about to be cut."""
        self._given_up = True
        for task in self._orphans:
            task.cancel()

    def _check_empty(self) -> None:
        if self._empty is not None and not self._empty.done() and not self.open and not self._orphans:
            self._empty.set_result(None)
