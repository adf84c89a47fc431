"""One gateway: composes store, hub, the way in, the way out and the edge, and starts and stops them in order."""

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
from gateway.dataplane import DataPlane
from gateway.edge.server import Edge
from gateway.heads import Heads
from gateway.registrar import Registrar
from gateway.retention import Retainer
from gateway.settings import NodeSettings
from gateway.submit import Submitter, make_sender
from gateway.subscriptions import Subscriptions
from gateway.tls import server_context
from skyhooks import __version__
from skyhooks.channel import DEFAULT_NAMESPACES, Namespace
from skyhooks.errors import Refused, SettingsError
from skyhooks.publication import Draft, Outcome, Publication
from skyhooks.registry import node_lease
from skyhooks.signature import Secret, parse_secrets
from skyhooks.store import open_async_store

log = structlog.get_logger()

STOP_SECONDS = 5.0


class Node:
    """A gateway on `settings`, whose `store` must be a URL by now.

    Raises `SettingsError` for settings that do not go together.
    """

    def __init__(self, settings: NodeSettings) -> None:
        self.settings = settings
        self.host, self.port = parse_listen(settings.listen)
        self.id = _checked_id(settings.node_id or f"node-{secrets.token_hex(4)}")
        self._verify_with = _secrets(settings, self.host)
        self._tls = server_context(settings.tls_certificate, settings.tls_key)
        self._started = time.monotonic()
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._failed: list[str] = []
        self._namespaces = (*DEFAULT_NAMESPACES, *(Namespace(name=name, durable=True) for name in settings.durable))

    @property
    def url(self) -> str:
        """Where other nodes and workers reach this one."""
        if self.settings.public_url:
            return self.settings.public_url
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    async def start(self) -> None:
        """Listen, register and begin to look after the log. Raises `OSError` when the address cannot be listened on."""
        settings = self.settings
        self._store = open_async_store(settings.store)
        self._subscriptions = Subscriptions(
            self._store,
            incarnation=secrets.token_hex(5),
            count=settings.ring_count,
            size=settings.ring_bytes,
            most=settings.channels,
        )
        self._appender = Appender(self._store, self._offer, count=settings.batch_count, size=settings.waiting_bytes)
        self._submitter = Submitter(make_sender(settings.broker), self._store) if settings.broker else None
        # Bound before anything else, because the registry is told the port.
        listeners = bind_sockets(self.port, self.host)
        self.port = listeners[0].getsockname()[1]
        self._registrar = Registrar(
            self._store,
            self._subscriptions.hub,
            self.id,
            self.url,
            is_open=not self._verify_with,
            ttl=settings.lease_seconds,
        )
        self._edge = Edge(self._make_data_plane(), self._make_control_plane(), settings)
        await self._edge.start(self.host, self.port, tls=self._tls, socks=listeners)
        self._tasks = [asyncio.create_task(work, name=name) for name, work in self._chores()]
        for task in self._tasks:
            task.add_done_callback(self._ended)
        log.info("listening", node=self.id, url=self.url, store=self._store.url.partition(":")[0])

    async def stop(self) -> None:
        """Leave the registry, end every connection in order, settle what was accepted, close the store."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._registrar.withdraw()
        await self._edge.stop(STOP_SECONDS)
        await self._appender.close()
        await self._subscriptions.close()
        if self._submitter is not None:
            await self._submitter.close()
        await self._store.close()
        log.info("stopped", node=self.id)

    def _offer(self, drafts: Sequence[Draft], outcomes: Sequence[Outcome]) -> None:
        """The hub hears of what was committed, and of duplicates: their first writer may have died before fan-out."""
        hub = self._subscriptions.hub
        for draft, outcome in zip(drafts, outcomes, strict=True):
            for channel, position in outcome.positions.items():
                if outcome.status == "stored":
                    publication = Publication(draft.id, position.offset, draft.data, draft.control)
                    hub.offer(channel, position.epoch, publication)
                else:
                    # What the log holds under this id need not be what has come now.
                    hub.announce(channel, position)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """A chore that ends by itself is a fault of ours, and the node is not ready without it."""
        if not task.cancelled():
            log.error("chore_failed", chore=task.get_name(), exc_info=task.exception())
            self._failed.append(f"{task.get_name()} has failed; the log says why, and a restart helps")

    def _chores(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """What runs beside the requests for as long as the node does."""
        settings, hub = self.settings, self._subscriptions.hub
        heads = Heads(self._store, hub, pause=settings.heads_seconds, sweep=settings.sweep_seconds)
        return [
            ("heads", heads.run()),
            ("comparison", heads.compare()),
            ("registration", self._registrar.run()),
            ("accounts", self._registrar.match()),
            ("retention", Retainer(self._store, self._namespaces, pause=settings.trim_seconds).run()),
            ("channels", self._drop_idle()),
        ]

    async def _drop_idle(self) -> None:
        linger = self.settings.channel_linger_seconds
        while True:
            await asyncio.sleep(linger / 4)
            self._subscriptions.hub.sweep(time.monotonic(), linger)

    def _make_data_plane(self) -> DataPlane:
        return DataPlane(
            self.settings,
            self._appender.append,
            self._subscriptions,
            self._registrar,
            durable=frozenset(namespace.name for namespace in self._namespaces if namespace.durable),
            verify_with=self._verify_with,
            clock=time.time,
        )

    def _make_control_plane(self) -> Application:
        names = self.settings.tasks if self._submitter else ()
        control = Control(self._store, self._submitter, Catalogue(names), self._describe, self._reasons)
        openapi = encoded(self.settings, signed=bool(self._verify_with))
        return make_application(control, openapi=openapi, hosts=self.settings.hosts, origins=self.settings.origins)

    def _describe(self) -> Status:
        hub = self._subscriptions.hub
        return Status(
            node=self.id,
            version=__version__,
            store=self._store.url.partition(":")[0],
            channels=len(hub.channels),
            subscribers=hub.subscribers,
            uptime=time.monotonic() - self._started,
        )

    def _reasons(self) -> list[str]:
        return [*self._failed, *(["the node is stopping"] if self._stopping else [])]


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
