"""Several coordinators on a real store: who leads, who takes over, and what a resignation leaves behind.

Where only a hand-over may make the next leader, the lease is for so long that it cannot run out within a test.
"""

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from gateway.cluster.lease import StoreCoordinator
from gateway.cluster.roster import Roster
from skyhooks.store import open_async_store
from skyhooks.store.base import AsyncStore, Lease
from skyhooks.store.sqlite import SqliteStore
from tests.mongod import ReplicaSet, empty
from tests.unit.gateway.stores import until

HEARTBEAT = 0.1
SHORT, LONG = 1.5, 60.0


class Node:
    """A coordinator with a store of its own, in one run of a node."""

    def __init__(self, url: str, name: str, run: str, ttl: float) -> None:
        self.name = name
        self.seen: list[Roster] = []
        self.store: AsyncStore = open_async_store(url)
        self.coordinator = StoreCoordinator(self.store, name, run, heartbeat=HEARTBEAT, ttl=ttl)
        self.coordinator.watch(self.seen.append)

    @property
    def roster(self) -> Roster:
        return self.coordinator.roster

    @property
    def leads(self) -> bool:
        return self.roster.leader == self.name

    def start(self) -> None:
        self.task = asyncio.create_task(self.coordinator.run())

    async def die(self) -> None:
        """Be gone, and give nothing back."""
        while not self.task.done():  # a cancellation may get lost where it meets the end of what is waited for
            self.task.cancel()
            await asyncio.wait({self.task}, timeout=0.1)


class Cluster:
    """Nodes on the store at `url`; `away` takes that store away and gives it back."""

    def __init__(self, url: str, away: Callable[[], AbstractContextManager[None]]) -> None:
        self.url = url
        self.away = away
        self.made: list[Node] = []

    async def node(self, name: str, run: str = "1", ttl: float = SHORT) -> Node:
        """A node that is on the roster, and takes part once it is started."""
        made = Node(self.url, name, run, ttl)
        self.made.append(made)
        info = msgspec.json.encode({"url": f"http://{name}", "incarnation": run}).decode()
        assert await made.store.lease(f"nodes/{name}", name, LONG, info)
        return made

    async def nodes(self, names: str, ttl: float = SHORT) -> list[Node]:
        """Nodes that know each other; the first of them leads."""
        made = [await self.node(name, ttl=ttl) for name in names]
        for one in made:
            one.start()
            await until(lambda: made[0].leads)
        await self.agreed(made)
        return made

    async def agreed(self, nodes: list[Node]) -> Roster:
        """What they all know, once there is a leader in it."""

        def same() -> bool:
            return bool(nodes[0].roster.leader) and all(one.roster == nodes[0].roster for one in nodes)

        await until(same, 20)
        return nodes[0].roster


@pytest.fixture(params=["sqlite", "mongodb"])
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cluster]:
    if request.param == "sqlite":
        path = tmp_path / "store.db"
        made = Cluster(f"sqlite://{path}", partial(locked, path))
    else:
        server: ReplicaSet = request.getfixturevalue("mongodb")
        made = Cluster(empty(server, "coordinators"), partial(stopped, server))
    yield made
    for one in made.made:
        await one.die()
        await one.store.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody else writes to the file, and does not come to an end."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@contextmanager
def stopped(server: ReplicaSet) -> Iterator[None]:
    """The server takes connections, and never says a word."""
    for process in server.members.values():
        process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in server.members.values():
            process.signal(signal.SIGCONT)


async def test_all_agree_on_one_leader_and_know_each_other(cluster: Cluster) -> None:
    nodes = [await cluster.node(name) for name in "abcd"]
    for one in nodes:  # at the same moment
        one.start()
    roster = await cluster.agreed(nodes)
    assert sorted(roster.members) == ["a", "b", "c", "d"]
    assert sum(one.leads for one in nodes) == 1
    assert roster.term == 1, "the lease was taken once"


async def test_a_resignation_hands_over_without_waiting_for_the_lease(cluster: Cluster) -> None:
    first, *others = await cluster.nodes("abcd", ttl=LONG)
    await first.coordinator.resign()
    assert not first.leads
    roster = await cluster.agreed([first, *others])
    assert roster.leader in ("b", "c", "d")
    assert roster.term == 2, "those that stood at the same moment took it once between them"


async def test_the_lease_of_a_dead_leader_runs_out_and_another_leads_under_a_higher_term(cluster: Cluster) -> None:
    first, *others = await cluster.nodes("abc")
    await first.die()
    await until(lambda: any(one.leads for one in others))
    roster = await cluster.agreed(others)
    assert roster.leader in ("b", "c")
    assert roster.term == 2


async def test_without_the_store_a_leader_deposes_itself_and_nobody_is_forgotten(cluster: Cluster) -> None:
    first, second = await cluster.nodes("ab")
    with cluster.away():
        await until(lambda: not first.roster.leader)
        assert sorted(first.roster.members) == ["a", "b"]
    roster = await cluster.agreed([first, second])
    assert roster.term >= 1


async def test_a_leader_that_cannot_renew_deposes_itself_before_its_lease_ends(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    cluster = Cluster(f"sqlite://{path}", partial(locked, path))
    [node] = await cluster.nodes("a", ttl=2 * SHORT)
    witness = SqliteStore(str(path))  # a file that another one writes to can be read
    left: list[list[Lease]] = []
    node.coordinator.watch(lambda _: left.append(witness.leases("leader")))
    with cluster.away():
        await until(lambda: left)
    assert node.seen[-1].leader == ""
    assert [lease.holder for lease in left[0]] == ["a/1"], "the store still holds the lease for it"
    witness.close()
    await node.die()
    await node.store.close()


async def test_a_leader_that_runs_anew_is_another_one(cluster: Cluster) -> None:
    first, second = await cluster.nodes("ab")
    await first.die()
    anew = await cluster.node("a", run="2")
    anew.start()
    await until(lambda: anew.seen)
    assert not anew.leads, "the lease is that of the run before"
    roster = await cluster.agreed([anew, second])
    assert roster.term == 2
    assert roster.members["a"].incarnation == "2"
    assert all(one.leader != "a" or one.term == 2 for one in anew.seen)


async def test_each_change_is_told_once_and_terms_only_grow(cluster: Cluster) -> None:
    first, second, third = await cluster.nodes("abc", ttl=LONG)
    await first.coordinator.resign()
    await until(lambda: third.roster.leader in ("b", "c"))
    leader = second if third.roster.leader == "b" else third
    await leader.coordinator.resign()
    await until(lambda: {second.roster.term, third.roster.term} == {3})
    for one in (first, second, third):
        await until(lambda one=one: one.seen[-1].term == 3)  # type: ignore[misc]
        assert one.seen[-1] == one.roster
        assert all(before != after for before, after in pairwise(one.seen))
        terms = [roster.term for roster in one.seen if roster.leader]
        assert terms == sorted(terms)


async def test_who_leaves_while_it_takes_the_lease_gives_it_back(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaving, heir = await cluster.node("a", ttl=LONG), await cluster.node("b", ttl=LONG)
    asked, go = delayed(leaving.store, monkeypatch)
    leaving.start()
    await asyncio.wait_for(asked.wait(), 10)
    left = asyncio.create_task(leaving.coordinator.leave())
    await asyncio.sleep(0)  # it has begun to leave
    go.set()
    await left
    await leaving.die()
    heir.start()
    await until(lambda: heir.leads)


async def test_who_leaves_while_it_renews_the_lease_gives_it_back(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaving, heir = await cluster.nodes("ab", ttl=LONG)
    asked, go = delayed(leaving.store, monkeypatch)
    await asyncio.wait_for(asked.wait(), 10)
    left = asyncio.create_task(leaving.coordinator.leave())
    await until(lambda: not leaving.leads)
    go.set()
    await left
    await leaving.die()
    await until(lambda: heir.leads)


async def test_what_a_request_given_up_has_taken_is_given_back_with_the_next_heartbeat(cluster: Cluster) -> None:
    retired, heir = await cluster.node("a", ttl=LONG), await cluster.node("b", ttl=LONG)
    await retired.coordinator.resign()
    retired.start()
    # What was sent before the resignation, and nobody waited for any more, comes to the store only now.
    assert await retired.store.lease("leader", "a/1", LONG)
    heir.start()
    await until(lambda: heir.leads)
    assert all(not roster.leader or roster.leader == "b" for roster in retired.seen)


def delayed(store: AsyncStore, monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Requests for leases of this store say that they are on their way, and arrive when they may."""
    asked, go, real = asyncio.Event(), asyncio.Event(), store.lease
    sent: list[asyncio.Task[Lease | None]] = []

    async def lease(name: str, holder: str, ttl: float, info: str = "{}") -> Lease | None:
        async def send() -> Lease | None:
            await go.wait()
            return await real(name, holder, ttl, info)

        asked.set()
        sent.append(asyncio.create_task(send()))
        # What has been sent arrives, whether or not anybody still waits for the answer.
        return await asyncio.shield(sent[-1])

    monkeypatch.setattr(store, "lease", lease)
    return asked, go
