"""This node's part in a cluster: what it says to the others, what they may ask of it, and what it does as the leader.

Theory of operation. Three ZeroMQ sockets are bound (mesh, RPC, journal); their addresses stand in the node's lease,
where the other nodes read them. A coordinator keeps the roster; each change of it goes to whoever holds connections,
and settles whether this node leads. While it leads, one task per bridge brings a feed into its channel, under the term,
and another ends the tasks that are past their deadline.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import structlog
import zmq

from gateway.bridge import Bridge, Deposed
from gateway.cluster.announcer import Announcer
from gateway.cluster.census import Census, NodeStatus
from gateway.cluster.lease import StoreCoordinator
from gateway.cluster.peer import PeerCoordinator
from gateway.cluster.roster import Coordinator, Member, Roster
from gateway.deadlines import Deadlines
from gateway.mesh.address import announced, node_endpoints
from gateway.mesh.frames import Frame
from gateway.mesh.journal import Collector, Reporter
from gateway.mesh.rpc import Rpc
from gateway.mesh.security import Security
from gateway.mesh.transport import Mesh, MeshOptions
from gateway.settings import PEER, NodeSettings
from skyhooks.errors import SettingsError, StoreError
from skyhooks.keys import read_keys
from skyhooks.service import Service
from skyhooks.store.base import AsyncStore

log = structlog.get_logger()

OFF: Final = "off"
DAY: Final = 86_400.0


class Membership(Service):
    """The sockets of node `node_id`, and what travels over them.

    `receive` takes the frames of other nodes, `subscribers` tells how many a channel has here, `publish` publishes to
    a channel without a log. Raises `SettingsError` for addresses or keys that cannot be used.
    """

    def __init__(
        self,
        settings: NodeSettings,
        store: AsyncStore,
        node_id: str,
        *,
        receive: Callable[[Frame], None],
        subscribers: Callable[[str], int],
        publish: Callable[[str, bytes], object],
    ) -> None:
        super().__init__("cluster")
        self.incarnation = secrets.token_hex(5)
        self.refused = 0
        """Publications that the store has refused because a newer leader had written."""
        self.mesh: Mesh | None = None
        self.reporter: Reporter | None = None
        self._settings = settings
        self._store = store
        self._node_id = node_id
        self._receive = receive
        self._subscribers = subscribers
        self._publish = publish
        self._endpoints = node_endpoints(settings.mesh) if settings.mesh not in ("", OFF) else None
        if settings.coordinator == PEER and self._endpoints is None:
            raise SettingsError("with coordinator peer the nodes know each other by the setting mesh, which is off")
        self._security = _security(settings)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        if self._endpoints is not None:
            options = MeshOptions(
                bind=self._endpoints.mesh, forwarder=settings.forwarder, forwarder_key=settings.forwarder_key
            )
            self.mesh = Mesh(options, receive, node=node_id, security=self._security, context=self._context)
        self._rpc: Rpc | None = None
        self._collector: Collector | None = None
        self._coordinator: Coordinator | None = None
        self._bridges: Sequence[Bridge] = ()
        self._deadlines: Deadlines | None = None
        self._term = 0
        self._leading: list[asyncio.Task[None]] = []

    @property
    def roster(self) -> Roster:
        """Who is there and who leads, as this node knows it."""
        return self._coordinator.roster if self._coordinator is not None else Roster()

    @property
    def counters(self) -> tuple[dict[str, int], dict[str, int]]:
        """What the mesh and the RPC have counted."""
        return (
            _counted(self.mesh.stats()) if self.mesh is not None else {},
            _counted(self._rpc.counters) if self._rpc is not None else {},
        )

    async def on_start(self) -> None:
        """Bind the sockets."""
        self._rpc = Rpc(self._node_id, self._security, context=self._context)
        if self._endpoints is None or self.mesh is None:
            return
        await self.mesh.start()
        await self._rpc.start(self._endpoints.rpc)
        self._collector = Collector(
            self._store, self._security, context=self._context, age=self._settings.journal_days * DAY
        )
        self._collector.start(self._endpoints.journal)
        self.spawn(self._collector.run(), "journal")
        self.reporter = Reporter(self._node_id, self._subscribers, self._security, context=self._context)

    def on_reload(self) -> None:
        """Read the list of allowed keys again. Raises `SettingsError`; the old list stays in force then."""
        if self._security is not None:
            self._security.reload()

    def member(self, url: str, host: str) -> Member:
        """This node as the others see it: its HTTP `url`, and its sockets, which they reach under `host`."""
        bound = (self.mesh, self._rpc, self._collector) if self._endpoints is not None else ()
        mesh, rpc, journal = [announced(one.endpoint, host) if one else "" for one in bound] or ["", "", ""]
        key = self._security.keys.public if self._security is not None else ""
        return Member(self._node_id, url, mesh, rpc, journal, key, self.incarnation)

    def join(
        self,
        own: Member,
        bridges: Sequence[Bridge],
        deadlines: Deadlines | None,
        describe: Callable[[], NodeStatus],
        drain: Callable[[], None],
    ) -> Census:
        """Take part from now on. `bridges` and `deadlines` are this node's while it leads; see `Census` for the
        others.
        """
        assert self._rpc is not None  # noqa: S101  # it has been started
        settings = self._settings
        self._bridges, self._deadlines = bridges, deadlines
        self._coordinator = self._make_coordinator(own, self._rpc)
        self._coordinator.watch(self._changed)
        self.spawn(self._coordinator.run(), "coordinator")
        if settings.announce:
            self.spawn(Announcer(self._node_id, lambda: self.roster, self._publish, time.time).run(), "announcer")
        return Census(
            self._rpc,
            own,
            lambda: self.roster,
            describe=describe,
            subscribers=self._subscribers,
            drain=drain,
            journal=self._store,
            timeout=settings.rpc_seconds,
        )

    def _make_coordinator(self, own: Member, rpc: Rpc) -> Coordinator:
        heartbeat, ttl = self._settings.heartbeat_seconds, self._settings.leader_lease_seconds
        if self._settings.coordinator == PEER:
            join = [node_endpoints(address).rpc for address in self._settings.join]
            return PeerCoordinator(rpc, own, join, heartbeat=heartbeat, silence=ttl)
        return StoreCoordinator(self._store, self._node_id, self.incarnation, heartbeat=heartbeat, ttl=ttl)

    async def resign(self) -> None:
        """Hand leadership over, if this node has it, and do not take it again."""
        if self._coordinator is not None:
            await self._coordinator.resign()
        await asyncio.gather(*self._leading, return_exceptions=True)

    async def on_stop(self) -> None:
        """Leave the cluster and close the sockets."""
        if self._coordinator is not None:
            await self._coordinator.leave()
        self._lead(0)
        await asyncio.gather(*self._leading, return_exceptions=True)
        if self.reporter is not None:
            self.reporter.close()
        if self._collector is not None:
            await self._collector.stop()
        if self._rpc is not None:
            await self._rpc.stop()
        if self.mesh is not None:
            await self.mesh.stop()
        await asyncio.to_thread(self._context.term)

    def _changed(self, roster: Roster) -> None:
        members = roster.members
        if self.mesh is not None:
            self.mesh.follow(members)
        if self._rpc is not None:
            self._rpc.follow(members)
        if self.reporter is not None:
            self.reporter.follow(members)
        self._lead(roster.term if roster.leader == self._node_id else 0)

    def _lead(self, term: int) -> None:
        """Do what the leader does under `term`, or no more when it is 0."""
        if term == self._term:
            return
        for task in self._leading:
            task.cancel()
        self._term = term
        if term:
            self._leading = [self.spawn(self._bridge(one, term), f"bridge {one.channel}") for one in self._bridges]
            if self._deadlines is not None:
                self._leading.append(self.spawn(self._deadlines.lead(term), "deadlines"))

    async def _bridge(self, bridge: Bridge, term: int) -> None:
        try:
            await bridge.lead(term)
        except Deposed as error:
            # The store knows of a newer leader before this node does; the next heartbeat tells it.
            log.warning("deposed", channel=bridge.channel, term=term, error=str(error))
        except StoreError as error:
            log.error("bridge_stopped", channel=bridge.channel, term=term, error=str(error))


def _security(settings: NodeSettings) -> Security | None:
    if not settings.mesh_key:
        return None
    return Security(read_keys(Path(settings.mesh_key)), Path(settings.mesh_allow) if settings.mesh_allow else None)


def _counted(counters: Any) -> dict[str, int]:
    """A struct of counters as a mapping."""
    return {name: getattr(counters, name) for name in counters.__struct_fields__}
