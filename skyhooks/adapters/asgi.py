"""The endpoint as an ASGI application (version 3): for FastAPI, Starlette, Django and any server that speaks ASGI.

::

    container = Container(open_store("mongodb://…"), url="http://127.0.0.1:8000/skyhooks", secret="whsec_…")

    @asynccontextmanager
    async def lifespan(app):
        async with container:
            yield

    app = FastAPI(lifespan=lifespan)
    app.mount("/skyhooks", WebhookApp(container))

A framework without lifespans, such as Django, is wrapped instead::

    application = WebhookMiddleware(get_asgi_application(), container, on_start=register_callbacks)
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from skyhooks.adapters.endpoint import Answer
from skyhooks.adapters.loop import Container
from skyhooks.errors import SkyhooksError

__all__ = ["Container", "WebhookApp", "WebhookMiddleware"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class WebhookApp:
    """An ASGI application for the container's mount point. It does not start the container."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a WebSocket is refused."""
        if scope["type"] == "http":
            await _send(send, scope, await self._answer(scope, receive))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        endpoint = self._container.endpoint
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        # A server may leave the mount point in the path (ASGI 3, root_path).
        name = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/")
        refusal = endpoint.refusal(scope["method"], name, headers.get("content-length"))
        if refusal is not None:
            return refusal
        body = await read_body(receive, endpoint.body_bytes)
        return await self._container.answer(scope["method"], name, headers, body)


class WebhookMiddleware:
    """`app`, with the container's endpoint at `mount`, and the container running while the server does.

    `on_start` is awaited once the container runs: the place to register callbacks. The server's lifespan events end
    here, so this is for an outermost application that has no use for them.
    """

    def __init__(
        self,
        app: App,
        container: Container,
        mount: str = "/skyhooks",
        on_start: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._app = app
        self._container = container
        self._mount = mount.rstrip("/")
        self._webhooks = WebhookApp(container)
        self._on_start = on_start

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or have the app answer it."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        root = scope.get("root_path", "")
        path = scope["path"].removeprefix(root)
        if path.startswith(f"{self._mount}/"):
            await self._webhooks({**scope, "root_path": root + self._mount, "path": root + path}, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._container.start()
            if self._on_start is not None:
                await self._on_start()
        except SkyhooksError as error:
            await self._container.stop()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._container.stop()
        await send({"type": "lifespan.shutdown.complete"})


async def read_body(receive: Receive, most: int) -> bytes:
    """The body of a request, up to about `most` bytes; empty when the client has gone."""
    parts: list[bytes] = []
    size = 0
    while size < most:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body"):
            break
    return b"".join(parts)


async def _send(send: Send, scope: Scope, answer: Answer) -> None:
    head = {**answer.headers, "Content-Length": str(len(answer.body))}
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in head.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})
