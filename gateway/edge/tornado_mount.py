"""Everything that is not the data plane, answered by a `tornado.web.Application` through Tornado's own connection
interfaces.

The application sees whole requests and writes as it would to Tornado's own server. What needs the raw connection, a
WebSocketHandler or a handler that streams its request body, is refused when the edge is made, not when the first
client comes.
"""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import structlog
from tornado import httputil, iostream
from tornado.routing import Router, RuleRouter
from tornado.web import Application, RequestHandler, _has_stream_request_body
from tornado.websocket import WebSocketHandler

from gateway.edge.head import connection_line, has_body, header_lines, status_line
from gateway.edge.parser import Message
from gateway.edge.protocol import Connection
from skyhooks.errors import Refused

log = structlog.get_logger()

HOP_HEADERS = frozenset({"connection", "transfer-encoding"})
"""Headers of a handler that the edge decides instead."""


class Context:
    """What `HTTPServerRequest` reads of a connection: the client's address and the scheme it used."""

    __slots__ = ("protocol", "remote_ip")

    def __init__(self, remote_ip: str, protocol: str) -> None:
        self.remote_ip = remote_ip
        self.protocol = protocol

    def __str__(self) -> str:
        return self.remote_ip


class TornadoMount:
    """Hands requests to `application`. Raises `TypeError` if one of its handlers needs the raw connection."""

    def __init__(self, application: Application) -> None:
        for handler in handlers_of(application):
            if issubclass(handler, WebSocketHandler):
                raise TypeError(f"{handler.__name__} is a WebSocketHandler; answer with gateway.edge.request.WebSocket")
            if _has_stream_request_body(handler):
                raise TypeError(f"{handler.__name__} streams its request body; the edge only hands over whole bodies")
        self._application = application

    async def serve(self, connection: Connection, message: Message, context: Context) -> bool:
        """Answer `message`; whether another request may follow it. Raises `Refused` for what Tornado cannot read."""
        exchange = MountedConnection(connection, message, context)
        connection.on_lost = exchange.lost
        version = "HTTP/1.1" if message.http11 else "HTTP/1.0"
        headers = httputil.HTTPHeaders()
        try:
            for name, value in message.fields:
                headers.add(name, value)
            delegate = self._application.start_request(connection, exchange)
            line = httputil.RequestStartLine(message.method, message.target, version)
            await settled(delegate.headers_received(line, headers))
            if message.body:
                await settled(delegate.data_received(message.body))
            delegate.finish()
        except httputil.HTTPInputError as error:
            raise Refused("bad_request", f"the request cannot be read: {error}") from error
        except Exception:
            if not exchange.started:
                raise
            log.exception("request_failed", method=message.method, target=message.target[:200])
            connection.abort()
        return await exchange.done


async def settled(result: Any) -> None:
    """Wait for what a delegate returned, if it returned something to wait for."""
    if inspect.isawaitable(result):
        await result


def handlers_of(router: Router) -> Iterator[type[RequestHandler]]:
    """Every handler class that `router` and the routers below it can name."""
    inner: list[Any] = [getattr(router, "default_router", None), getattr(router, "wildcard_router", None)]
    if isinstance(router, RuleRouter):
        inner += [rule.target for rule in router.rules]
    for target in inner:
        if isinstance(target, Router):
            yield from handlers_of(target)
        elif inspect.isclass(target) and issubclass(target, RequestHandler):
            yield target


class MountedConnection(httputil.HTTPConnection):
    """One request's way back: what a handler writes becomes bytes of the connection
    (`tornado.httputil.HTTPConnection`).
    """

    def __init__(self, connection: Connection, message: Message, context: Context) -> None:
        self.context = context
        self.started = False
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._connection = connection
        self._message = message
        self._keep_alive = connection.keeps_alive(message) and not message.websocket
        self._content = True
        self._chunked = False
        self._left: int | None = None  # bytes of content still owed, None when their number was not said
        self._on_close: Callable[[], None] | None = None

    # -- tornado.httputil.HTTPConnection

    def write_headers(
        self,
        start_line: httputil.RequestStartLine | httputil.ResponseStartLine,
        headers: httputil.HTTPHeaders,
        chunk: bytes | None = None,
    ) -> "asyncio.Future[None]":
        """Send the head, and `chunk` with it."""
        assert isinstance(start_line, httputil.ResponseStartLine)  # noqa: S101 - a server sends nothing else
        status = start_line.code
        content = self._content = has_body(self._message.method, status)
        length = headers.get("Content-Length")
        self._chunked = content and length is None and self._message.http11
        self._left = 0 if not content else None if length is None else int(length)
        asked_to_close = "close" in headers.get("Connection", "").lower()
        unframed = content and length is None and not self._message.http11
        self._keep_alive = self._keep_alive and not asked_to_close and not unframed
        own = ((name, value) for name, value in headers.get_all() if name.lower() not in HOP_HEADERS)
        head = [
            status_line(status, start_line.reason),
            header_lines(own),
            connection_line(self._keep_alive, self._message.http11),
            b"Transfer-Encoding: chunked\r\n" if self._chunked else b"",
            b"\r\n",
        ]
        self.started = True
        return self._send(b"".join(head) + self._framed(chunk or b""))

    def write(self, chunk: bytes) -> "asyncio.Future[None]":
        """Send content."""
        if not self.started:
            raise RuntimeError("a head is written with write_headers")
        return self._send(self._framed(chunk))

    def finish(self) -> None:
        """The answer is whole. Raises `HTTPOutputError` if it is shorter than its Content-Length said."""
        if self._left:
            self._connection.abort()
            self._settle(False)
            raise httputil.HTTPOutputError(f"the answer ends {self._left} bytes short of its Content-Length")
        if self._chunked:
            self._connection.write(b"0\r\n\r\n")
        self._settle(self._keep_alive)

    # -- what tornado.web asks beyond that interface

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Call `callback` when the client leaves before its answer is whole."""
        self._on_close = callback

    def close(self) -> None:
        """Drop the connection."""
        self._connection.abort()
        self._settle(False)

    def detach(self) -> iostream.IOStream:
        """Not offered: the connection is not an IOStream. Raises `RuntimeError`."""
        raise RuntimeError("the edge does not give its connections away; WebSockets are gateway.edge.request.WebSocket")

    # -- the connection's side

    def lost(self) -> None:
        """The client is gone."""
        callback, self._on_close = self._on_close, None
        self._settle(False)
        if callback is not None:
            try:
                callback()
            except Exception:
                log.exception("close_callback_failed", target=self._message.target[:200])

    def _framed(self, chunk: bytes) -> bytes:
        if not self._content:
            return b""
        if self._left is not None:
            if len(chunk) > self._left:
                self._connection.abort()
                raise httputil.HTTPOutputError("the answer is longer than its Content-Length")
            self._left -= len(chunk)
        if self._chunked and chunk:
            return b"%x\r\n%b\r\n" % (len(chunk), chunk)
        return chunk

    def _send(self, data: bytes) -> "asyncio.Future[None]":
        if self._connection.lost:
            failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            failed.set_exception(iostream.StreamClosedError())
            failed.exception()  # whoever does not wait for it need not hear of it
            return failed
        self._connection.write(data)
        return self._connection.drained()

    def _settle(self, keep_alive: bool) -> None:
        self._on_close = None
        if not self.done.done():
            self.done.set_result(keep_alive)
