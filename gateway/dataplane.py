"""The data plane: which paths the edge answers itself, and how a channel is published to and subscribed to."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from gateway.auth import check_host, check_origin
from gateway.channels import Channels, draft_for
from gateway.connect.session import Limits, Session, Terms
from gateway.edge.echo import Echo
from gateway.edge.request import Answer, Handler, Request, Response, Stream, WebSocket
from gateway.fanout import Fanout
from gateway.hub.encoding import WEBSOCKET, WEBSOCKET_RAW
from gateway.ingest import Append, Ingest
from gateway.negotiation import HTTP11, encoding_of, since_of
from gateway.registrar import Registrar
from gateway.settings import NodeSettings
from gateway.subscriptions import Subscriptions
from skyhooks.channel import ACCOUNTS, TASKS, channel_name, namespace_of
from skyhooks.errors import Refused
from skyhooks.signature import Secret, verify
from skyhooks.webhook import compact

HOOKS = "/hooks"
CHANNELS = "/channels/"
CONNECT = "/connect"

STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}

PUBLISHED_AS_JSON = ("", "application/json", "application/x-www-form-urlencoded")
"""Content types whose body is read as JSON; the last one is what curl sends unless told otherwise."""


class DataPlane:
    """Finds the handler of a request: `DataPlane` itself is what the edge calls.

    `verify_with` are the secrets, empty on an open node. `clock` gives seconds since 1970. `presence` counts a
    channel's subscribers on all nodes. While `draining` says so, nobody new may subscribe.
    """

    def __init__(
        self,
        settings: NodeSettings,
        append: Append,
        subscriptions: Subscriptions,
        registrar: Registrar,
        fanout: Fanout,
        *,
        verify_with: tuple[Secret, ...],
        clock: Callable[[], float],
        presence: Callable[[str], Awaitable[Any]],
        draining: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings = settings
        self._channels = Channels(append, subscriptions, registrar, fanout, draining=draining)
        self._secrets = verify_with
        self._clock = clock
        self._ingest = Ingest(
            append, subscriptions.subscribers, verify_with=verify_with, clock=clock, most=settings.batch_items
        )
        self._terms = Terms(
            self._channels,
            presence,
            signed=bool(verify_with),
            limits=lambda: Limits(settings.session_subscriptions, settings.session_commands, settings.session_bytes),
        )

    def __call__(self, method: str, path: str) -> Handler | None:
        """The handler of a method and a path, None when they belong to the control plane."""
        if path == HOOKS:
            return self._guarded(self._ingest) if method == "POST" else _only("POST")
        if path.startswith(CHANNELS):
            handlers: dict[str, Handler] = {"POST": self._publish, "GET": self._subscribe, "HEAD": self._subscribe}
            return self._guarded(handlers[method]) if method in handlers else _only("GET, HEAD, POST")
        if path == CONNECT:
            return self._guarded(self._connect) if method in ("GET", "HEAD") else _only("GET, HEAD")
        if self._settings.echo and path == self._settings.echo:
            return self._guarded(self._echo)
        return None

    async def close(self, seconds: float) -> None:
        """Let commands of the client protocol end that are being carried out, for up to `seconds`."""
        await self._terms.close(seconds)

    def _guarded(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Answer:
            host = request.headers.get("host", "")
            if host:
                check_host(host, self._settings.hosts)
            check_origin(request.headers.get("origin"), host, self._settings.origins)
            return await handler(request)

        return answer

    async def _publish(self, request: Request) -> Response:
        name = channel_name(request.path.removeprefix(CHANNELS))
        _known_query(request.query, frozenset())
        if self._secrets and namespace_of(name) in (ACCOUNTS, TASKS):
            # What workers say to accounts cannot be said by someone who does not know the secret.
            verify(self._secrets, request.headers, request.body, self._clock())
        draft = draft_for(name, _data(request), request.headers.get("idempotency-key"))
        (done,) = await self._channels.publish([draft])
        if isinstance(done, Refused):
            raise done
        return Response(headers={"Content-Type": "application/json"}, body=msgspec.json.encode(done))

    async def _subscribe(self, request: Request) -> Answer:
        name = channel_name(request.path.removeprefix(CHANNELS))
        _known_query(request.query, frozenset({"since", "raw", "view"}))
        encoding = encoding_of(request)
        since = since_of(request, encoding)
        self._channels.admit()
        headers = {"Content-Type": encoding.content_type, **STREAM_HEADERS, **encoding.headers}
        if request.method == "HEAD":
            return Response(headers=headers)
        chunked = request.http11 and encoding in HTTP11
        encoding = HTTP11[encoding] if chunked else encoding
        subscriber = await self._channels.subscribe(name, encoding, since)
        if encoding in (WEBSOCKET, WEBSOCKET_RAW):
            return WebSocket(peer=subscriber)
        return Stream(peer=subscriber, headers=headers, keepalive=encoding.keepalive, chunked=chunked)

    async def _connect(self, request: Request) -> Answer:
        _known_query(request.query, frozenset())
        self._channels.admit()
        return WebSocket(peer=Session(self._terms))

    async def _echo(self, request: Request) -> Answer:
        return WebSocket(peer=Echo())


def _only(methods: str) -> Handler:
    async def refuse(request: Request) -> Answer:
        detail = f"{request.path[:200]} takes {methods}; got {request.method[:20]}"
        raise Refused("method_not_allowed", detail, 405, {"Allow": methods})

    return refuse


def _known_query(query: Mapping[str, str], known: frozenset[str]) -> None:
    if unknown := sorted(set(query) - known):
        names = ", ".join(sorted(known)) or "none"
        raise Refused("bad_query", f"parameters are {names}; got {', '.join(unknown)[:80]}")


def _data(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/plain":
        try:
            return msgspec.json.encode(request.body.decode())
        except UnicodeDecodeError as error:
            raise Refused("bad_text", f"the body is not text in UTF-8: {error}") from error
    if kind in PUBLISHED_AS_JSON:
        return compact(request.body)
    raise Refused("bad_content_type", f"publish application/json or text/plain; got {kind[:80]!r}", 415)
