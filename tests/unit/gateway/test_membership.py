"""Nodes of one cluster in one loop: what is said on one is heard on the others, and one of them leads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.node import Node
from gateway.settings import NodeSettings
from skyhooks.errors import SettingsError
from skyhooks.store.base import Deadline
from tests.unit.gateway.nodes import call, running, stream
from tests.unit.gateway.stores import until

QUICK = {"heartbeat_seconds": 0.05, "leader_lease_seconds": 2.0, "rpc_seconds": 2.0, "announce": False}


@asynccontextmanager
async def cluster(folder: Path, count: int, **settings: Any) -> AsyncIterator[list[Node]]:
    """So many nodes on one store, once each knows all and who leads."""
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(member(folder, number, **settings)) for number in range(count)]
        await until(
            lambda: all(len(one.cluster.roster.members) == count and one.cluster.roster.leader for one in nodes)
        )
        await until(lambda: len({one.cluster.roster.leader for one in nodes}) == 1)
        yield nodes


@asynccontextmanager
async def member(folder: Path, number: int, **settings: Any) -> AsyncIterator[Node]:
    given = {"mesh": f"ipc://{folder}/n{number}", "store": f"sqlite://{folder / 'store.db'}", **QUICK, **settings}
    async with running(node_id=f"n{number}", **given) as node:
        yield node


async def test_a_channel_without_a_log_is_heard_on_every_node(tmp_path: Path) -> None:
    async with cluster(tmp_path, 2) as (one, other), stream(other, "/channels/chat") as lines:
        await lines.json()
        await until(lambda: one.cluster.mesh and one.cluster.mesh.stats().wanted)
        await call(one, "POST", "/channels/chat", json="hello")
        assert (await lines.json())["data"] == "hello"


async def test_a_result_reaches_the_other_node_s_subscribers_through_the_mesh(tmp_path: Path) -> None:
    # The log is looked at once an hour: what comes sooner has come through the mesh.
    nodes = cluster(tmp_path, 2, heads_seconds=3600.0)
    async with nodes as (one, other), stream(other, "/channels/accounts/a") as lines:
        await lines.json()
        await until(lambda: one.cluster.mesh and one.cluster.mesh.stats().wanted)
        await call(one, "POST", "/channels/accounts/a", json=1)
        assert (await lines.json())["data"] == 1


async def test_without_a_mesh_a_node_hears_of_others_through_the_log(tmp_path: Path) -> None:
    async with cluster(tmp_path, 2, mesh="off") as (one, other), stream(other, "/channels/accounts/a") as lines:
        await lines.json()
        await call(one, "POST", "/channels/accounts/a", json=1)
        assert (await lines.json())["data"] == 1


async def test_one_leads_and_hands_over_when_it_drains(tmp_path: Path) -> None:
    async with cluster(tmp_path, 3) as nodes:
        leader = next(one for one in nodes if one.cluster.roster.leader == one.id)
        others = [one for one in nodes if one is not leader]
        answer = await call(others[0], "POST", "/api/nodes/leader/drain")
        assert (answer.status_code, answer.json()["id"]) == (202, leader.id)
        await asyncio.wait_for(leader.wait(), 10)
        await leader.stop()
        await until(lambda: {one.cluster.roster.leader for one in others} & {one.id for one in others})
        await until(lambda: leader.id not in others[0].cluster.roster.members)


async def test_the_leader_ends_what_is_past_its_deadline_and_the_next_one_goes_on(tmp_path: Path) -> None:
    async with cluster(tmp_path, 2, deadline_pause_seconds=0.01) as nodes:
        leader, other = sorted(nodes, key=lambda one: one.cluster.roster.leader != one.id)

        async def end(task_id: str) -> None:
            due = Deadline(task_id=task_id, reason="deadline", seconds=0.0, account="acme")
            await other.store.add_deadlines([due])
            async with stream(other, f"/channels/tasks/{task_id}?since=0") as lines:
                while not (event := (await lines.json()).get("data")):
                    pass
            assert (event["state"], event["error"]["code"]) == ("FAILURE", "deadline")

        await end("t1")
        await leader.stop()
        await until(lambda: other.cluster.roster.leader == other.id)
        await end("t2")
        page = await other.store.read("accounts/acme", 0)
        assert [one.id for one in page.publications] == ["t1:end", "t2:end"]


async def test_where_nobody_knows_every_end_a_deadline_is_refused(tmp_path: Path) -> None:
    broker = f"file://{tmp_path}/broker"
    async with member(tmp_path, 0, coordinator="peer", store="memory://", broker=broker) as node:
        answer = await call(node, "POST", "/api/tasks/workers.tasks.add", json={"deadline": 5})
        assert (answer.status_code, answer.json()["code"]) == (422, "no_deadlines")
        assert (await call(node, "POST", "/api/tasks/workers.tasks.add", json={})).status_code == 202


async def test_every_node_is_shown_and_one_that_is_gone_as_such(tmp_path: Path) -> None:
    async with cluster(tmp_path, 2) as (one, other):
        seen = (await call(one, "GET", "/api/nodes")).json()
        assert [(node["id"], node["status"]["nodes"]) for node in seen["nodes"]] == [("n0", 2), ("n1", 2)]
        assert seen["leader"] in ("n0", "n1")
        async with stream(other, "/channels/accounts/a") as lines:
            await lines.json()
            present = (await call(one, "GET", "/api/channels/accounts/a/presence")).json()
            assert (present["subscribers"], present["nodes"]) == (1, {"n0": 0, "n1": 1})


async def test_a_draining_node_takes_no_new_subscribers(tmp_path: Path) -> None:
    async with member(tmp_path, 0) as node:
        node.drain()
        answer = await call(node, "GET", "/channels/accounts/a")
        assert (answer.status_code, answer.json()["code"]) == (503, "draining")
        assert "draining" in (await call(node, "GET", "/readyz")).json()["detail"]
        assert (await call(node, "POST", "/channels/accounts/a", json=1)).status_code == 200


async def grow(path: Path) -> None:
    """Write a line now and then: a feed without a cursor begins with what comes after it was opened."""
    for number in range(1000):
        with path.open("a") as file:
            file.write(f'{{"n": {number}}}\n')
        await asyncio.sleep(0.02)


async def test_the_leader_brings_a_feed_into_its_channel(tmp_path: Path) -> None:
    feed = tmp_path / "feed.jsonl"
    feed.write_text("")
    async with cluster(tmp_path, 2, bridges=(f"news=lines://{feed}",)) as (one, other):
        async with stream(other, "/channels/news?since=0") as lines:
            await lines.json()
            writing = asyncio.create_task(grow(feed))
            seen = [(await lines.json())["data"]["n"] for _ in range(3)]
            writing.cancel()
            assert seen == list(range(seen[0], seen[0] + 3))
        refused = await call(one, "POST", "/channels/news", json=1)
        assert (refused.status_code, refused.json()["code"]) == (409, "fenced")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mesh": "somewhere"}, "as a mesh address"),
        ({"mesh": "tcp://0.0.0.0:7000"}, "keys"),
        ({"mesh_key": "/nowhere.key"}, "nowhere.key"),
        ({"bridges": ("numbers",)}, "bridges are CHANNEL=URL"),
        ({"bridges": ("a b=lines:///x",)}, "bridges has"),
        ({"bridges": ("news=ftp://x",)}, "a feed is given as a URL"),
        ({"bridges": ("news=numbers://x",)}, "numbers://HOST:PORT"),
    ],
)
async def test_settings_that_cannot_be_used_are_said_at_the_start(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        await Node(NodeSettings(store="memory://", listen="127.0.0.1:0", open=True, **settings)).start()
