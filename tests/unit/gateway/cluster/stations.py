"""Nodes that know of each other and answer each other over real sockets, without a store or a hub of their own."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application

from gateway.api.handler import UnknownPath
from gateway.api.journal import JournalHandler
from gateway.api.nodes import DrainHandler, NodesHandler, PresenceHandler
from gateway.cluster.census import Census, NodeStatus
from gateway.cluster.roster import Member, Roster
from gateway.mesh.rpc import Rpc
from skyhooks.store.memory import MemoryStore
from skyhooks.store.threaded import ThreadedStore


class Station:
    """One node: what it believes and what its channels have can be set by a test."""

    def __init__(self, name: str, store: MemoryStore, seconds: float) -> None:
        self.name = name
        self.roster = Roster()
        self.subscribers: dict[str, int] = {}
        self.drained = 0
        self.rpc = Rpc(name)
        self.memory = store
        self.store = ThreadedStore(store)
        self.seconds = seconds

    async def start(self, folder: Path) -> Member:
        """Listen, and be able to ask and answer."""
        await self.rpc.start(f"ipc://{folder}/{self.name}.rpc")
        self.member = Member(self.name, f"http://{self.name}:8080", rpc=self.rpc.endpoint, incarnation="1")
        self.census = Census(
            self.rpc,
            self.member,
            lambda: self.roster,
            describe=self.describe,
            subscribers=lambda channel: self.subscribers.get(channel, 0),
            drain=self.drain,
            journal=self.store,
            timeout=self.seconds,
        )
        return self.member

    async def stop(self) -> None:
        """Leave nothing behind."""
        await self.rpc.stop()
        await self.store.close()

    def describe(self) -> NodeStatus:
        """Its own words."""
        return NodeStatus(
            id=self.name,
            incarnation="1",
            version="0.1",
            url=self.member.url,
            uptime=3725.5,
            leader=self.roster.leader,
            term=self.roster.term,
            nodes=len(self.roster.members),
            channels=len(self.subscribers),
            subscribers=sum(self.subscribers.values()),
            draining=bool(self.drained),
        )

    def drain(self) -> None:
        """Remember that it was told to."""
        self.drained += 1


@asynccontextmanager
async def stations(folder: Path, *names: str, leader: str = "", seconds: float = 5.0) -> AsyncIterator[list[Station]]:
    """Nodes of these names with one store, who all know each other and follow `leader`."""
    store = MemoryStore()
    made = [Station(name, store, seconds) for name in names]
    try:
        members = {one.name: await one.start(folder) for one in made}
        for one in made:
            one.roster = Roster(members, leader, 3 if leader else 0)
        yield made
    finally:
        for one in made:
            await one.stop()


@asynccontextmanager
async def served(station: Station) -> AsyncIterator[int]:
    """The port at which a node answers over HTTP."""
    given = {"cluster": station.census}
    application = Application(
        [
            (r"/api/nodes", NodesHandler, given),
            (r"/api/nodes/([^/]+)/drain", DrainHandler, given),
            (r"/api/channels/(.+)/presence", PresenceHandler, given),
            (r"/api/journal", JournalHandler, {"journal": station.store}),
        ],
        default_handler_class=UnknownPath,
        log_function=lambda _: None,  # it would be in the output of the commands that a test runs
        hosts=("hooks.example",),
        origins=("https://app.example",),
    )
    server = HTTPServer(application)
    sock, port = bind_unused_port()
    server.add_socket(sock)
    try:
        yield port
    finally:
        server.stop()
        await server.close_all_connections()


@contextmanager
def in_a_thread(
    folder: Path, *names: str, leader: str = "", seconds: float = 5.0
) -> Iterator[tuple[str, list[Station]]]:
    """The URL of the first of some nodes that run on a loop of their own, for tests that block."""
    started, stop = threading.Event(), asyncio.Event()
    found: list[tuple[str, list[Station]]] = []
    loop = asyncio.new_event_loop()

    async def main() -> None:
        async with stations(folder, *names, leader=leader, seconds=seconds) as made, served(made[0]) as port:
            found.append((f"http://127.0.0.1:{port}", made))
            started.set()
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(main())
        finally:
            started.set()
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait(30)
    try:
        yield found[0]
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join(30)
