"""The coordinator without a database: nodes that know each other by their addresses, and tell each other the rest."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import structlog

from gateway.cluster.gossip import Digest, Peer
from gateway.cluster.roster import Member, Roster
from gateway.mesh.rpc import Rpc, RpcError

log = structlog.get_logger()

QUESTION: Final = "gossip"


class PeerCoordinator:
    """Takes part as `own`, asking through `rpc`. `join` are the RPC endpoints of nodes to begin with.

    Tells the others something each `heartbeat` seconds; who was not heard of for `silence` seconds is gone.
    """

    def __init__(self, rpc: Rpc, own: Member, join: Sequence[str] = (), *, heartbeat: float, silence: float) -> None:
        self._rpc = rpc
        self._peer = Peer(own, join, silence=silence, born=time.time())
        self._heartbeat = heartbeat
        self._watchers: list[Callable[[Roster], None]] = []
        self._told = Roster()
        self._silent: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        rpc.handle(QUESTION, self._answer, Digest)

    @property
    def roster(self) -> Roster:
        """What is known now."""
        return self._peer.roster

    def watch(self, changed: Callable[[Roster], None]) -> None:
        """Have `changed` called at each change of members, leader or term."""
        self._watchers.append(changed)

    async def run(self) -> None:
        """Take part until cancelled."""
        try:
            while True:
                for endpoint, key in self._peer.tick(self._now()):
                    self._spawn(self._ask(endpoint, key))
                self._tell()
                await asyncio.sleep(self._heartbeat)
        finally:
            for task in self._tasks:
                task.cancel()

    async def resign(self) -> None:
        """Stand no more; the next one takes over when it hears of it, which is at once."""
        self._peer.resign()
        await self._spread()

    async def leave(self) -> None:
        """Resign, and tell everybody that this node goes."""
        self._peer.leave()
        await self._spread()

    async def _spread(self) -> None:
        self._tell()
        await asyncio.gather(*(self._ask(*one) for one in self._peer.tick(self._now())))

    async def _ask(self, endpoint: str, key: str) -> None:
        try:
            digest = self._peer.digest()
            answer: Digest = await self._rpc.call(endpoint, key, QUESTION, digest, self._heartbeat, Digest)
        except RpcError as error:
            if endpoint not in self._silent:
                log.warning("peer_silent", endpoint=endpoint, error=str(error), then="asking again each heartbeat")
            self._silent.add(endpoint)
            return
        self._silent.discard(endpoint)
        self._take(answer)

    async def _answer(self, digest: Digest) -> Digest:
        self._take(digest)
        return self._peer.digest()

    def _take(self, digest: Digest) -> None:
        self._peer.heard(digest, self._now())
        self._tell()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell(self) -> None:
        roster, before = self._peer.roster, self._told
        if roster == before:
            return
        self._told = roster
        if (roster.leader, roster.term) != (before.leader, before.term):
            log.info("leader", node=roster.leader or None, term=roster.term)
        for changed in self._watchers:
            changed(roster)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
