"""A running edge, on both event loops where that matters."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import uvloop
from structlog.testing import capture_logs
from tornado.web import Application

from gateway.edge.request import Handler
from gateway.edge.server import Edge
from gateway.edge.settings import EdgeSettings
from tests.unit.gateway.edge.client import Client

TICK = 0.05
Serve = Callable[..., Awaitable[Edge]]
Connect = Callable[..., Awaitable[Client]]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every asynchronous test of the edge runs on both loops: they buffer and close differently."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """`serve({"/path": handler}, application=None, send_buffer=None, tls=None, **settings)` starts an edge."""
    edges: list[Edge] = []

    async def start(
        handlers: dict[str, Handler] | None = None,
        application: Application | None = None,
        *,
        send_buffer: int | None = None,
        tls: ssl.SSLContext | None = None,
        **settings: Any,
    ) -> Edge:
        known = handlers or {}
        edge = Edge(lambda method, path: known.get(path), application, EdgeSettings(**settings), tick=TICK)
        listener = socket.socket()
        if send_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        listener.bind(("127.0.0.1", 0))
        await edge.start("127.0.0.1", 0, tls=tls, socks=[listener])
        edges.append(edge)
        return edge

    yield start
    for edge in edges:
        await edge.stop(0.2)


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """`connect(edge, receive_buffer=None)` is a raw connection to it."""
    clients: list[Client] = []

    async def open_one(edge: Edge, receive_buffer: int | None = None) -> Client:
        clients.append(await Client.connect(edge.port, receive_buffer))
        return clients[-1]

    yield open_one
    for client in clients:
        with suppress(OSError):
            await client.close()


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """What is logged during the test, one dict a line."""
    with capture_logs() as captured:
        yield captured


async def eventually(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until `condition` holds; fail after `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
