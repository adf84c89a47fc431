"""Coordinators that talk over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.cluster.peer import PeerCoordinator
from gateway.cluster.roster import Member, Roster
from gateway.mesh.rpc import Rpc
from tests.unit.gateway.stores import until


class One:
    """One node: its socket and its coordinator."""

    def __init__(self, folder: Path, name: str, *join: str, run: str = "1") -> None:
        self.endpoint = f"ipc://{folder}/{name}"
        self.rpc = Rpc(name)
        own = Member(name, f"http://{name}", rpc=self.endpoint, incarnation=run)
        endpoints = [f"ipc://{folder}/{one}" for one in join]
        self.seen: list[Roster] = []
        self.coordinator = PeerCoordinator(self.rpc, own, endpoints, heartbeat=0.05, silence=0.5)
        self.coordinator.watch(self.seen.append)

    @property
    def roster(self) -> Roster:
        return self.coordinator.roster

    async def start(self) -> "One":
        await self.rpc.start(self.endpoint)
        self.task = asyncio.create_task(self.coordinator.run())
        return self

    async def die(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.rpc.stop()


@asynccontextmanager
async def three(folder: Path) -> AsyncIterator[list[One]]:
    nodes = [await One(folder, "a").start(), await One(folder, "b", "a").start(), await One(folder, "c", "b").start()]
    await agreed(nodes)
    yield nodes
    for one in nodes:
        await one.die()


async def agreed(nodes: list[One]) -> str:
    """Who leads, once all know each other and agree on it."""
    await until(lambda: all(one.roster.leader and len(one.roster.members) == len(nodes) for one in nodes))
    await until(lambda: len({(one.roster.leader, one.roster.term) for one in nodes}) == 1)
    return nodes[0].roster.leader


async def test_the_address_of_any_node_is_enough(tmp_path: Path) -> None:
    async with three(tmp_path) as nodes:
        assert nodes[0].roster == nodes[2].roster
        assert nodes[0].seen[-1] == nodes[0].roster


async def test_a_dead_leader_is_replaced_and_rejoins_as_one_of_the_others(tmp_path: Path) -> None:
    async with three(tmp_path) as nodes:
        term = nodes[0].roster.term
        await nodes[0].die()
        assert await agreed(nodes[1:]) == "b"
        nodes[0] = await One(tmp_path, "a", "c", run="2").start()
        assert await agreed(nodes) == "b"
        assert nodes[0].roster.term > term


async def test_a_leader_that_resigns_or_leaves_is_replaced_at_once(tmp_path: Path) -> None:
    async with three(tmp_path) as nodes:
        await nodes[0].coordinator.resign()
        assert await agreed(nodes) == "b"
        await nodes[1].coordinator.leave()
        await until(lambda: nodes[2].roster.leader == "c")
        assert "b" not in nodes[2].roster.members


async def test_a_dead_address_is_asked_until_somebody_is_there(tmp_path: Path) -> None:
    one = await One(tmp_path, "b", "a").start()
    await until(lambda: one.roster.leader == "b")
    other = await One(tmp_path, "a").start()
    await agreed([one, other])
    for each in (one, other):
        await each.die()
