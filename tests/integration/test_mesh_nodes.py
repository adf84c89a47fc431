"""Five nodes: each hears what is published on each, late ones too, and lost frames cost time and nothing else."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.node import Node
from tests.mongod import ReplicaSet, empty
from tests.unit.gateway.nodes import Lines, call, running, stream
from tests.unit.gateway.stores import until

COUNT = 5


@pytest.fixture(params=["sqlite", "mongodb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite://{tmp_path / 'store.db'}"
    server: ReplicaSet = request.getfixturevalue("mongodb")
    return empty(server, "mesh")


@asynccontextmanager
async def cluster(folder: Path, store: str, count: int = COUNT, **settings: Any) -> AsyncIterator[list[Node]]:
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node(folder, store, number, **settings)) for number in range(count)]
        await until(lambda: all(len(one.cluster.roster.members) == count for one in nodes))
        yield nodes


@asynccontextmanager
async def node(folder: Path, store: str, number: int, **settings: Any) -> AsyncIterator[Node]:
    given = {"heartbeat_seconds": 0.1, "announce": False, "mesh": f"ipc://{folder}/n{number}", **settings}
    async with running(node_id=f"n{number}", store=store, **given) as made:
        yield made


def wanted(one: Node) -> int:
    assert one.cluster.mesh is not None
    return one.cluster.mesh.stats().wanted


async def data_of(lines: Lines, count: int) -> list[Any]:
    """The next publications of a subscriber."""
    return [(await lines.json())["data"] for _ in range(count)]


@pytest.mark.parametrize("channel", ["chat", "accounts/a"])
async def test_every_node_hears_every_other_one(tmp_path: Path, store: str, channel: str) -> None:
    # The log is looked at once an hour, so that only the mesh can have brought it.
    async with cluster(tmp_path, store, heads_seconds=3600.0) as nodes, AsyncExitStack() as stack:
        heard = [await stack.enter_async_context(stream(one, f"/channels/{channel}")) for one in nodes]
        for lines in heard:
            await lines.json()
        await until(lambda: all(map(wanted, nodes)))
        for number, one in enumerate(nodes):
            assert (await call(one, "POST", f"/channels/{channel}", json=number)).status_code == 200
            assert [await data_of(lines, 1) for lines in heard] == [[number]] * COUNT


async def test_a_node_that_joins_late_hears_what_comes_after(tmp_path: Path, store: str) -> None:
    there = cluster(tmp_path, store, 2)
    late = node(tmp_path, store, 9)
    async with there as (one, _), late as last, stream(last, "/channels/chat") as lines:
        await lines.json()
        await until(lambda: wanted(one))
        await call(one, "POST", "/channels/chat", json="welcome")
        assert await data_of(lines, 1) == ["welcome"]


async def test_a_mesh_that_loses_frames_loses_no_publication(tmp_path: Path, store: str) -> None:
    chance = random.Random(7)  # which frames are lost is the same each time
    async with cluster(tmp_path, store) as nodes, AsyncExitStack() as stack:
        for one in nodes:
            assert one.cluster.mesh is not None
            one.cluster.mesh.drop = lambda: chance.random() < 0.3
        heard = [await stack.enter_async_context(stream(one, "/channels/accounts/a?since=0")) for one in nodes]
        for lines in heard:
            await lines.json()
        await until(lambda: all(map(wanted, nodes)))
        for number in range(100):
            await call(nodes[number % COUNT], "POST", "/channels/accounts/a", json=number)
        async with asyncio.timeout(30):
            for lines in heard:
                assert await data_of(lines, 100) == list(range(100))
        assert sum(one.cluster.mesh.stats().dropped for one in nodes if one.cluster.mesh) > 0
