"""The coordinator that keeps roster and leader in the store: looks at the leases with each heartbeat."""

import asyncio
from collections.abc import Callable

import structlog

from gateway.cluster.election import LEADER, Election, Step
from gateway.cluster.roster import Roster
from skyhooks.errors import StoreError
from skyhooks.store.base import AsyncStore

log = structlog.get_logger()


class StoreCoordinator:
    """Takes part for node `node` in its run `incarnation`.

    Looks every `heartbeat` seconds; a leader's lease is for `ttl` seconds. The node's own lease is renewed by the
    registrar, which also takes it back.
    """

    def __init__(self, store: AsyncStore, node: str, incarnation: str, *, heartbeat: float, ttl: float) -> None:
        self._store = store
        self._heartbeat = heartbeat
        self._election = Election(node, incarnation, ttl)
        self._watchers: list[Callable[[Roster], None]] = []
        self._told = Roster()
        self._wake = asyncio.Event()
        self._looking = asyncio.Lock()
        self._failing = False

    @property
    def roster(self) -> Roster:
        """What is known now."""
        return self._election.roster

    def watch(self, changed: Callable[[Roster], None]) -> None:
        """Have `changed` called at each change of members, leader or term."""
        self._watchers.append(changed)

    async def run(self) -> None:
        """Take part until cancelled. While the store is away the members stay as they were known."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._heartbeat
            try:
                # Not longer than the lease: a store that says nothing must not keep a leader in office.
                async with asyncio.timeout(self._patience(loop.time())):
                    await self._look(loop)
                self._said(None)
            except (StoreError, TimeoutError) as error:
                self._said(error)
            self._election.tick(loop.time())
            self._tell()
            await self._sleep(due - loop.time())

    async def resign(self) -> None:
        """Give leadership up and do not stand again.

        A look under way may be about to take the lease: it ends first, and what it has taken is given back. What the
        store does not take back within the time of a lease is tried again with each heartbeat, while there are any.
        """
        self._election.retire()
        self._tell()
        if not self._election.may_hold:
            return
        try:
            async with asyncio.timeout(self._election.ttl):
                await self._look(asyncio.get_running_loop())
        except (StoreError, TimeoutError) as error:
            log.warning("resignation_incomplete", error=str(error) or "no answer in time")
        self._tell()

    async def leave(self) -> None:
        """Resign. The node's lease is the registrar's to give back."""
        await self.resign()

    def look(self) -> None:
        """Look at the leases now, without waiting for the next heartbeat."""
        self._wake.set()

    async def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        async with self._looking:
            asked = loop.time()
            step = self._election.observed(await self._store.leases(""), asked)
            if step is Step.GIVE_BACK:
                if await self._store.release(LEADER, self._election.holder, self._election.held):
                    log.info("leadership_given_up", term=self._election.held)
            elif step is not Step.FOLLOW:
                asked = loop.time()
                lease = await self._store.lease(LEADER, self._election.holder, self._election.ttl)
                self._election.answered(lease, asked)

    def _patience(self, now: float) -> float:
        left = self._election.until - now if self._election.leads else self._election.ttl
        return max(0.01, min(left, self._election.ttl))

    async def _sleep(self, seconds: float) -> None:
        """Until the next heartbeat, or until it is told to look."""
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), max(0.0, seconds))
        except TimeoutError:
            return

    def _tell(self) -> None:
        roster, before = self._election.roster, self._told
        if roster == before:
            return
        self._told = roster
        if (roster.leader, roster.term) != (before.leader, before.term):
            log.info("leader", node=roster.leader or None, term=roster.term)
        for changed in self._watchers:
            changed(roster)

    def _said(self, error: Exception | None) -> None:
        """Write one line when the store goes and one when it is back."""
        if error is not None and not self._failing:
            log.warning("roster_unreadable", error=str(error) or "no answer in time")
        elif error is None and self._failing:
            log.info("roster_readable")
        self._failing = error is not None
