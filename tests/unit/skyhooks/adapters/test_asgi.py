"""The ASGI endpoint, under a real server: mounted in an application, and around one that has no lifespan."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import requests
import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from skyhooks.adapters.asgi import App, Container, WebhookApp, WebhookMiddleware, read_body
from skyhooks.errors import StoreUnavailable
from tests.unit.gateway.stores import until
from tests.unit.skyhooks.adapters.exchange import CASES, LIMITS, SECRET, Switched, exchange, hook, post


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """An application of somebody else, which has no lifespan."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"app {scope['path']}".encode()})


def fastapi(container: Container) -> App:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with container:
            yield

    app = FastAPI(lifespan=lifespan)
    app.mount("/skyhooks", WebhookApp(container))
    return app


def starlette(container: Container) -> App:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with container:
            yield

    return Starlette(routes=[Mount("/skyhooks", WebhookApp(container))], lifespan=lifespan)


def middleware(container: Container) -> App:
    return WebhookMiddleware(plain, container)


APPS = {"fastapi": fastapi, "starlette": starlette, "middleware": middleware}


@asynccontextmanager
async def serving(make: Callable[[Container], App], secret: str = "") -> AsyncIterator[tuple[str, Container, Switched]]:
    listener = socket.create_server(("127.0.0.1", 0))
    mount = f"http://127.0.0.1:{listener.getsockname()[1]}/skyhooks"
    store = Switched()
    container = Container(store, url=mount, secret=secret, limits=LIMITS)
    config = uvicorn.Config(make(container), log_level="warning", lifespan="on", ws="websockets-sansio")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve([listener]))
    await until(lambda: server.started or running.done())
    try:
        yield mount, container, store
    finally:
        server.should_exit = True
        await running
        listener.close()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["starlette", "middleware"])
async def test_every_request_has_its_answer(kind: str, name: str) -> None:
    async with serving(APPS[kind]) as (mount, _, _):
        await asyncio.to_thread(exchange, CASES[name], mount)


@pytest.mark.parametrize("kind", APPS)
async def test_a_signed_webhook_is_heard_and_an_unsigned_one_changes_nothing(kind: str) -> None:
    heard: list[Any] = []
    async with serving(APPS[kind], SECRET) as (mount, container, store):
        await container.register({"account_id": "acme"}, heard.append)
        status, answer = await asyncio.to_thread(post, mount, hook())
        assert (status, answer["code"]) == (401, "unsigned")
        status, answer = await asyncio.to_thread(lambda: post(mount, hook(), signed=True))
        assert (status, answer["notified"]) == (200, 1)
        await until(lambda: heard)
        assert heard == store.data() == [{"n": 1}]
        await until(lambda: store.leases("nodes/"))
    # The lifespan has ended, and the container with it.
    assert store.leases("nodes/") == []


async def test_the_application_inside_answers_everything_else() -> None:
    async with serving(middleware) as (mount, _, _):
        base = mount.removesuffix("/skyhooks")
        for path in ("/", "/skyhooks", "/skyhooksish/hooks", "/hooks"):
            answer = await asyncio.to_thread(requests.get, base + path, timeout=10)
            assert answer.text == f"app {path}"
        assert (await asyncio.to_thread(requests.get, f"{mount}/nothing", timeout=10)).status_code == 404


async def test_callbacks_are_registered_while_the_server_starts() -> None:
    heard: list[Any] = []

    def make(container: Container) -> App:
        return WebhookMiddleware(
            plain, container, on_start=lambda: container.register({"account_id": "acme"}, heard.append)
        )

    async with serving(make) as (mount, _, _):
        assert (await asyncio.to_thread(post, mount, hook()))[1]["notified"] == 1
        await until(lambda: heard == [{"n": 1}])


async def test_a_store_that_is_away_while_the_server_starts_is_said_to_the_server() -> None:
    async def fails() -> None:
        raise StoreUnavailable("switched off by the test")

    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    app = WebhookMiddleware(plain, Container(Switched()), on_start=fails)
    await app({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "lifespan.startup.failed", "message": "switched off by the test"}]


async def test_a_body_is_read_no_further_than_it_is_accepted() -> None:
    asked = 0

    async def endless() -> Any:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    assert len(await read_body(endless, 250)) == 300
    assert asked == 3


async def test_a_client_that_goes_in_the_middle_has_sent_nothing() -> None:
    messages = [{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    assert await read_body(receive, 250) == b""


async def test_a_websocket_is_refused() -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await WebhookApp(Container(Switched()))({"type": "websocket", "path": "/hooks"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]
