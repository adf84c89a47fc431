"""From a request to its answer: the node's handlers first, the Tornado application for everything else."""

from collections.abc import Callable

import structlog

from gateway.edge.address import client_address, counting_key, is_trusted
from gateway.edge.connections import Connections
from gateway.edge.head import EDGE_HEADERS, connection_line, encode_response, header_lines, status_line
from gateway.edge.parser import Message
from gateway.edge.protocol import Connection
from gateway.edge.request import Answer, Handler, Request, Response, Stream, WebSocket, problem
from gateway.edge.stream import StreamSink
from gateway.edge.target import decode_path, decode_query
from gateway.edge.tornado_mount import Context, TornadoMount
from gateway.edge.websocket import WebSocketSink, accept_handshake, handshake_head, upgrade_required
from skyhooks.errors import Refused

log = structlog.get_logger()

Routes = Callable[[str, str], Handler | None]


class Dispatch:
    """Answers the requests of every connection."""

    def __init__(self, connections: Connections, routes: Routes, mount: TornadoMount | None, secure: bool) -> None:
        self._connections = connections
        self._routes = routes
        self._mount = mount
        self._secure = secure

    async def answer(self, connection: Connection, message: Message) -> bool:
        """Answer `message`; whether another request may follow it."""
        try:
            self._connections.slow_down(self._counted_as(connection, message))
        except Refused as error:
            # Many of them must not become many lines: they are counted and said once a turn.
            return self._respond(connection, message, problem(error))
        try:
            return await self._answer(connection, message)
        except Refused as error:
            self._log_refusal(error, connection, message)
            answer = problem(error)
        except Exception:
            log.exception("request_failed", method=message.method, target=message.target[:200])
            answer = problem(Refused("internal_error", "the request failed here; the node's log says why", 500))
        return self._respond(connection, message, answer)

    async def _answer(self, connection: Connection, message: Message) -> bool:
        raw_path, _, raw_query = message.target.partition("?")
        path = decode_path(raw_path)
        accept = accept_handshake(message) if message.websocket else ""
        handler = self._routes(message.method, path)
        if handler is None:
            return await self._pass_on(connection, message)
        request = Request(
            method=message.method,
            path=path,
            query=decode_query(raw_query, self._connections.settings.query_fields),
            headers=joined(message.fields),
            body=message.body,
            remote=self._client(connection, message),
            http11=message.http11,
            websocket=message.websocket,
        )
        answer = await handler(request)
        if connection.lost:
            return False
        return self._give(connection, message, answer, accept)

    def _give(self, connection: Connection, message: Message, answer: Answer, accept: str) -> bool:
        if isinstance(answer, Stream):
            return self._open_stream(connection, message, answer)
        if isinstance(answer, WebSocket):
            if not accept:
                raise upgrade_required("this resource is a WebSocket; the request was no handshake for one")
            return self._open_websocket(connection, message, answer, accept)
        return self._respond(connection, message, answer)

    def _respond(self, connection: Connection, message: Message, response: Response) -> bool:
        # What follows a handshake that was not accepted may be meant as WebSocket: never read it as HTTP.
        keep = connection.keeps_alive(message) and not message.websocket
        try:
            data = encode_response(response, message.method, keep, message.http11, self._connections.date)
        except ValueError:
            log.exception("response_refused", method=message.method, target=message.target[:200])
            keep = False
            failed = problem(Refused("internal_error", "the answer could not be sent; the node's log says why", 500))
            data = encode_response(failed, message.method, keep, message.http11, self._connections.date)
        connection.write(data)
        return keep

    def _open_stream(self, connection: Connection, message: Message, answer: Stream) -> bool:
        given = [(name, value) for name, value in answer.headers.items() if name.lower() not in EDGE_HEADERS]
        head = b"".join(
            (
                status_line(200),
                header_lines(given),
                self._connections.date.line(),
                connection_line(False, True),
                b"Transfer-Encoding: chunked\r\n" if answer.chunked else b"",
                b"\r\n",
            )
        )
        connection.write(head)
        if message.method != "HEAD" and not self._connections.stopping:
            transport, key, _ = connection.hand_over()
            StreamSink(transport, self._connections, key, answer).open()
        return False

    def _open_websocket(self, connection: Connection, message: Message, answer: WebSocket, accept: str) -> bool:
        if self._connections.stopping:
            raise Refused("stopping", "this node is stopping; another one serves the same channels", 503)
        connection.write(handshake_head(accept, answer.headers, self._connections.date.line()))
        transport, key, rest = connection.hand_over()
        client = self._counted_as(connection, message)
        WebSocketSink(transport, self._connections, key, answer.peer, client).open(rest)
        return False

    async def _pass_on(self, connection: Connection, message: Message) -> bool:
        if self._mount is None:
            raise Refused("not_found", "there is nothing at this path", 404)
        forwarded = message.field("x-forwarded-proto").rpartition(",")[2].strip().lower()
        believed = forwarded in ("http", "https") and is_trusted(
            connection.peer, self._connections.settings.trusted_proxies
        )
        protocol = forwarded if believed else "https" if self._secure else "http"
        return await self._mount.serve(connection, message, Context(self._client(connection, message), protocol))

    def _client(self, connection: Connection, message: Message) -> str:
        trusted = self._connections.settings.trusted_proxies
        if not trusted:
            return connection.peer
        return client_address(connection.peer, message.field("x-forwarded-for"), trusted)

    def _counted_as(self, connection: Connection, message: Message) -> str | None:
        client = self._client(connection, message)
        if client == connection.peer:
            return connection.key
        return counting_key(client, self._connections.settings.trusted_proxies)

    def _log_refusal(self, error: Refused, connection: Connection, message: Message) -> None:
        log.info(
            "request_refused",
            code=error.code,
            status=error.status,
            detail=error.detail,
            remote=self._client(connection, message),
            method=message.method,
            target=message.target[:200],
        )


def joined(fields: list[tuple[str, str]]) -> dict[str, str]:
    """Headers by name; several of one name joined by a comma, Cookie by a semicolon (RFC 9110 5.3, RFC 6265 5.4)."""
    headers: dict[str, str] = {}
    for name, value in fields:
        if name in headers:
            value = headers[name] + ("; " if name == "cookie" else ", ") + value
        headers[name] = value
    return headers
