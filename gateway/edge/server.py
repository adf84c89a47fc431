"""The edge: one listening port, and everything that is connected to it."""

import asyncio
import random
import socket
import ssl
import sys
from collections.abc import Sequence
from typing import Any, cast

import structlog
from tornado.web import Application

from gateway.edge.close import GOING_AWAY, RESTART, Close
from gateway.edge.connections import TICK, Connections
from gateway.edge.dispatch import Dispatch, Routes
from gateway.edge.protocol import Connection
from gateway.edge.settings import EdgeSettings
from gateway.edge.sink import OpenSink
from gateway.edge.tornado_mount import TornadoMount

log = structlog.get_logger()

BACKLOG = 1024
NOTSENT_LOWAT = 25
"""``TCP_NOTSENT_LOWAT`` of tcp(7) on Linux; Python names it from 3.12 on."""
ABORT_SECONDS = 1.0
"""How long a connection that was cut may take to tell its peer."""


class Edge:
    """Listens, and answers with what `routes` names, else with `application`, else 404.

    Raises `TypeError` if `application` has handlers that need the raw connection. One edge starts once.
    """

    def __init__(
        self, routes: Routes, application: Application | None, settings: EdgeSettings, tick: float = TICK
    ) -> None:
        self._routes = routes
        self._mount = TornadoMount(application) if application is not None else None
        self._settings = settings
        self._tick = tick
        self._servers: list[asyncio.Server] = []
        self._connections: Connections | None = None
        self.port = 0

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return self._connections.open if self._connections is not None else 0

    async def start(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None, socks: Sequence[socket.socket] = ()
    ) -> None:
        """Listen on `host` and `port` (0 for a free one, which `port` then tells), or on the bound `socks`.

        Raises `OSError` if that cannot be done.
        """
        loop = asyncio.get_running_loop()
        self._connections = connections = Connections(self._settings, loop, self._tick)
        dispatch = Dispatch(connections, self._routes, self._mount, tls is not None)

        def make() -> Connection:
            return Connection(connections, dispatch.answer)

        options: dict[str, Any] = {"ssl": tls, "backlog": BACKLOG}
        if tls is not None:
            # A handshake comes before the first byte of a request, and is not counted as a connection yet.
            options["ssl_handshake_timeout"] = self._settings.header_seconds
            options["ssl_shutdown_timeout"] = self._settings.close_seconds
        if socks:
            self._servers = [await loop.create_server(make, sock=sock, **options) for sock in socks]
        else:
            self._servers = [await loop.create_server(make, host, port, **options)]
        if sys.platform == "linux":
            for listener in (one for server in self._servers for one in server.sockets):
                # Connections have it from the socket that they come in by.
                listener.setsockopt(socket.IPPROTO_TCP, NOTSENT_LOWAT, self._settings.unsent_bytes)
        self.port = self._servers[0].sockets[0].getsockname()[1]
        connections.start()
        log.info("edge_listening", host=host, port=self.port, tls=tls is not None)

    async def drain(self, seconds: float, rate: float, close: Close = RESTART) -> int:
        """End streams and WebSockets in random order, `rate` a second but within `seconds`; how many there were.

        So their clients do not all come to the other nodes in the same moment. The node goes on listening; whoever
        calls this refuses new subscribers.
        """
        if self._connections is None:
            return 0
        loop = asyncio.get_running_loop()
        open_now = [item for item in self._connections.wheel.items() if isinstance(item, OpenSink)]
        random.shuffle(open_now)
        began, pause = loop.time(), min(seconds, len(open_now) / rate) / max(1, len(open_now))
        for number, item in enumerate(open_now):
            if (wait := began + number * pause - loop.time()) > 0:
                await asyncio.sleep(wait)
            item.finish(close)
        return len(open_now)

    async def stop(self, grace: float, close: Close = GOING_AWAY) -> None:
        """Stop listening, let the answers under way finish, end streams and WebSockets with `close`; cut what is left
        after `grace` seconds.
        """
        if not self._servers or self._connections is None:
            return
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        connections = self._connections
        connections.stopping = True
        for item in connections.wheel.items():
            cast(Connection | OpenSink, item).finish(close)
        if not await connections.emptied(grace):
            log.warning("edge_cut", open=connections.open)
            connections.cancel_orphans()
            for item in connections.wheel.items():
                cast(Connection | OpenSink, item).abort()
            await connections.emptied(ABORT_SECONDS)
        connections.stop()
