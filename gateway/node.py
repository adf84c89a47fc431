"""One gateway: composes store, log, cluster, the way in, the way out and the edge, as a tree of services."""

import asyncio
import secrets
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import structlog
from tornado.netutil import bind_sockets
from tornado.web import Application

from gateway.api.application import make_application
from gateway.api.catalogue import Catalogue
from gateway.api.control import Control, Status
from gateway.api.openapi import encoded
from gateway.appender import Appender
from gateway.auth import is_loopback
from gateway.bridge import Bridge
from gateway.cluster.census import Census, NodeStatus
from gateway.dataplane import DataPlane
from gateway.deadlines import Deadlines
from gateway.edge.server import Edge
from gateway.fanout import Fanout
from gateway.feeds import open_feed
from gateway.heads import Heads, pause_between
from gateway.membership import OFF, Membership
from gateway.mesh.frames import Frame
from gateway.registrar import Registrar
from gateway.retention import Retainer
from gateway.settings import PEER, NodeSettings
from gateway.submit import Submitter, make_sender
from gateway.subscriptions import Subscriptions
from gateway.tls import server_context
from gateway.unlogged import Unlogged
from skyhooks import __version__
from skyhooks.channel import DEFAULT_NAMESPACES, TASK_RETENTION, Namespace, channel_name, namespace_of
from skyhooks.errors import Refused, SettingsError
from skyhooks.lifecycle import State
from skyhooks.publication import Draft, Outcome
from skyhooks.registry import node_lease
from skyhooks.service import Policy, Service
from skyhooks.signature import Secret, parse_secrets
from skyhooks.store import open_async_store
from skyhooks.store.base import AsyncStore

log = structlog.get_logger()

STOP_SECONDS = 5.0
NUMBERS = "numbers"
"""A namespace that has a log without being asked for."""


class Storage(Service):
    """The store of a node: the first to be there and the last to go."""

    def __init__(self, url: str) -> None:
        super().__init__("store")
        self.store: AsyncStore = open_async_store(url)

    async def on_stop(self) -> None:
        """Let running calls end, and close."""
        await self.store.close()


class Chores(Service):
    """What runs beside the requests. One that ends by itself is a fault of ours, and the node is not ready then."""

    def begin(self, *works: tuple[str, Coroutine[Any, Any, None]]) -> None:
        """Run these until the service stops."""
        for name, work in works:
            self.spawn(work, name)


class Log(Chores):
    """What keeps the hub and the log of a node together."""

    def __init__(self, node: "Node") -> None:
        super().__init__("log")
        self._node = node

    def on_start(self) -> None:
        """Begin to look for news, and to keep the log within bounds."""
        node, settings = self._node, self._node.settings
        store, hub = node.store, node.subscriptions.hub
        pause = pause_between(store.url, settings.heads_seconds)
        heads = Heads(store, hub, pause=pause, sweep=settings.sweep_seconds)
        if settings.mesh == OFF:
            self.begin(("changes", heads.listen()))
        self.begin(
            ("heads", heads.run()),
            ("comparison", heads.compare()),
            ("retention", Retainer(store, node.namespaces, pause=settings.trim_seconds).run()),
            ("channels", self._drop_idle()),
        )

    async def on_stop(self) -> None:
        """Settle what was accepted."""
        await self._node.appender.close()
        await self._node.subscriptions.close()

    async def _drop_idle(self) -> None:
        linger = self._node.settings.channel_linger_seconds
        while True:
            await asyncio.sleep(linger / 4)
            self._node.subscriptions.hub.sweep(time.monotonic(), linger)


class Node(Service):
    """A gateway on `settings`, whose `store` must be a URL by now.

    Raises `SettingsError` for settings that do not go together. Starting it raises `OSError` when the address cannot
    be listened on.
    """

    def __init__(self, settings: NodeSettings) -> None:
        super().__init__("node")
        self.settings = settings
        self.host, self.port = parse_listen(settings.listen)
        self.id = _checked_id(settings.node_id or f"node-{secrets.token_hex(4)}")
        self._verify_with = _secrets(settings, self.host)
        self._tls = server_context(settings.tls_certificate, settings.tls_key)
        self._started = time.monotonic()
        self._draining = False
        names = dict.fromkeys((NUMBERS, *settings.durable, *(namespace_of(name) for name, _ in _bridges(settings))))
        if settings.coordinator == PEER and not settings.store.startswith("memory:"):
            raise SettingsError(f"with coordinator peer the store is memory://; got {settings.store.partition(':')[0]}")
        if settings.leader_lease_seconds < 2 * settings.heartbeat_seconds:
            raise SettingsError(
                "a leader renews its lease once a heartbeat and may miss one: leader_lease_seconds is at least twice "
                f"heartbeat_seconds; got {settings.leader_lease_seconds:g} and {settings.heartbeat_seconds:g}"
            )
        self.namespaces = (*DEFAULT_NAMESPACES, *(Namespace(name=name, durable=True) for name in names))
        self._compose()

    @property
    def url(self) -> str:
        """Where other nodes and workers reach this one."""
        if self.settings.public_url:
            return self.settings.public_url
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    def drain(self) -> None:
        """Begin to stop: whoever runs this node stops it, which sends its subscribers away in order."""
        self._draining = True
        self.end()

    async def on_start(self) -> None:
        """Listen, register and join the cluster."""
        settings = self.settings
        # Bound before anything else, because the registry is told the port.
        listeners = bind_sockets(self.port, self.host)
        self.port = listeners[0].getsockname()[1]
        own = self.cluster.member(self.url, self.host)
        info = {"open": not self._verify_with, **{name: getattr(own, name) for name in own.__struct_fields__}}
        hub, ttl = self.subscriptions.hub, settings.lease_seconds
        self._registrar = Registrar(self.store, hub, self.id, self.url, info=info, ttl=ttl)
        census = self.cluster.join(own, self._make_bridges(), self._make_deadlines(), self._describe_node, self.drain)
        self._submitter = self._make_submitter() if settings.broker else None
        self._plane = self._make_data_plane(census)
        self._edge = Edge(self._plane, self._make_control_plane(census), settings)
        try:
            await self._edge.start(self.host, self.port, tls=self._tls, socks=listeners)
        except BaseException:
            for listener in listeners:
                listener.close()
            raise
        self._registration.begin(("registration", self._registrar.run()), ("accounts", self._registrar.match()))
        log.info("listening", node=self.id, url=self.url, store=self.store.url.partition(":")[0])

    async def on_stop(self) -> None:
        """Hand leadership over, leave the registry, send the subscribers to other nodes, end every connection."""
        self._draining = True
        await self.cluster.resign()
        await self._registration.stop()
        await self._registrar.withdraw()
        if sent := await self._edge.drain(self.settings.drain_seconds, self.settings.drain_rate):
            log.info("drained", node=self.id, subscribers=sent)
        await self._edge.stop(STOP_SECONDS)
        await self._plane.close(STOP_SECONDS)
        if self._submitter is not None:
            await self._submitter.close()
        log.info("stopped", node=self.id)

    def _compose(self) -> None:
        settings = self.settings
        self.store = self.add(Storage(settings.store)).store
        self.cluster: Membership = Membership(
            settings,
            self.store,
            self.id,
            receive=self._received,
            subscribers=lambda name: self.subscriptions.subscribers(name),
            publish=lambda channel, data: self.fanout.publish(channel, secrets.token_hex(8), data),
        )
        self.subscriptions = Subscriptions(
            self.store,
            incarnation=self.cluster.incarnation,
            count=settings.ring_count,
            size=settings.ring_bytes,
            most=settings.channels,
            topics=self.cluster.mesh,
        )
        # A log that only this node reads keeps nothing for the others.
        logged = () if settings.coordinator == PEER else self.namespaces
        durable = frozenset(namespace.name for namespace in logged if namespace.durable)
        self.fanout = Fanout(self.subscriptions.hub, self.cluster.mesh, durable)
        self.appender = Appender(self.store, self._committed, count=settings.batch_count, size=settings.waiting_bytes)
        self.add(Log(self), Policy.REPORT)
        self.add(self.cluster, Policy.REPORT)
        self._registration: Chores = self.add(Chores("registration"), Policy.REPORT)

    def _committed(self, drafts: Sequence[Draft], outcomes: Sequence[Outcome]) -> None:
        self.fanout.committed(drafts, outcomes)
        refused = [
            one for one, outcome in zip(drafts, outcomes, strict=True) if outcome.status == "fenced" and one.fence
        ]
        if refused:
            self.cluster.refused += len(refused)
            log.warning(
                "stale_writes_refused", count=len(refused), term=refused[0].fence, channel=refused[0].channels[0]
            )
        if self.cluster.reporter is not None:
            self.cluster.reporter.note(drafts, outcomes)

    def _received(self, frame: Frame) -> None:
        self.fanout.receive(frame)
        if self.cluster.reporter is not None and frame.epoch:
            self.cluster.reporter.sent(frame.channel, frame.publications)

    def _make_bridges(self) -> list[Bridge]:
        append, head = self.appender.append, self.store.head
        if self.settings.coordinator == PEER:
            unlogged = Unlogged(self.fanout.publish)
            append, head = unlogged.append, unlogged.head
        return [Bridge(name, open_feed(url), append, head) for name, url in _bridges(self.settings)]

    def _make_deadlines(self) -> Deadlines | None:
        if self.settings.coordinator == PEER:
            return None  # each node has a log of its own, and none of them has every task's end
        return Deadlines(
            self.store,
            self.appender.append,
            pause=self.settings.deadline_pause_seconds,
            remembered=TASK_RETENTION.dedupe,
            clock=time.time,
        )

    def _make_submitter(self) -> Submitter:
        settings = self.settings
        deadline = None if settings.coordinator == PEER else settings.task_deadline_seconds
        sender = make_sender(settings.broker)
        return Submitter(sender, self.store, deadline=deadline, grace=settings.expiry_grace_seconds)

    def _make_data_plane(self, census: Census) -> DataPlane:
        return DataPlane(
            self.settings,
            self.appender.append,
            self.subscriptions,
            self._registrar,
            self.fanout,
            verify_with=self._verify_with,
            clock=time.time,
            presence=census.presence,
            draining=lambda: self._draining,
        )

    def _make_control_plane(self, census: Census) -> Application:
        names = self.settings.tasks if self._submitter else ()
        control = Control(self.store, self._submitter, Catalogue(names), self._describe, self._reasons)
        openapi = encoded(self.settings, signed=bool(self._verify_with))
        return make_application(
            control,
            cluster=census,
            journal=self.store,
            openapi=openapi,
            hosts=self.settings.hosts,
            origins=self.settings.origins,
        )

    def _describe(self) -> Status:
        hub = self.subscriptions.hub
        return Status(
            node=self.id,
            version=__version__,
            store=self.store.url.partition(":")[0],
            channels=len(hub.channels),
            subscribers=hub.subscribers,
            uptime=time.monotonic() - self._started,
        )

    def _describe_node(self) -> NodeStatus:
        hub, roster, (mesh, rpc) = self.subscriptions.hub, self.cluster.roster, self.cluster.counters
        return NodeStatus(
            id=self.id,
            incarnation=self.cluster.incarnation,
            version=__version__,
            url=self.url,
            uptime=time.monotonic() - self._started,
            leader=roster.leader,
            term=roster.term,
            nodes=len(roster.members),
            channels=len(hub.channels),
            subscribers=hub.subscribers,
            draining=self._draining,
            refused=self.cluster.refused,
            mesh=mesh,
            rpc=rpc,
        )

    def _reasons(self) -> list[str]:
        failed = [child for child, _ in self.children if child.state is State.FAILED]
        said = [f"{one.name} has failed ({one.error}); the log says why, and a restart helps" for one in failed]
        return [*said, *(["the node is draining"] if self._draining else [])]


def _bridges(settings: NodeSettings) -> list[tuple[str, str]]:
    """Channel and feed of each bridge. Raises `SettingsError`."""
    found = []
    for text in settings.bridges:
        name, _, url = text.partition("=")
        if not url:
            raise SettingsError(f"bridges are CHANNEL=URL, such as numbers=numbers://127.0.0.1:7000; got {text!r}")
        try:
            found.append((channel_name(name), url))
        except Refused as error:
            raise SettingsError(f"bridges has {text!r}: {error.detail}") from error
    return found


def parse_listen(listen: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` or ``[V6]:PORT``. Raises `SettingsError`."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise SettingsError(f"listen is HOST:PORT such as 127.0.0.1:8080; got {listen!r}")
    return host.strip("[]"), int(port)


def _checked_id(node_id: str) -> str:
    try:
        node_lease(node_id)
    except Refused as error:
        raise SettingsError(f"node_id is {node_id!r}: {error.detail}") from error
    return node_id


def _secrets(settings: NodeSettings, host: str) -> tuple[Secret, ...]:
    """What webhooks must be signed with; empty on an open node."""
    if not is_loopback(host):
        raise SettingsError(
            f"listen is {settings.listen!r}, which others can reach; until subscribers are checked a gateway listens "
            "on a loopback address only, behind a proxy that knows who may come in"
        )
    if settings.open:
        return ()
    if not settings.secret:
        raise SettingsError(
            "a gateway needs a secret to check webhooks with: set SKYHOOKS_SECRET (`skyhooks secret` makes one), "
            "or pass --open to accept anything on this machine"
        )
    return parse_secrets(settings.secret)
