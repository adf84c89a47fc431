"""A Tornado application takes webhooks as a gateway does, and its handler can be subclassed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError

from skyhooks.adapters.endpoint import Answer
from skyhooks.adapters.tornado import Container, WebhookHandler, routes
from tests.unit.gateway.stores import until
from tests.unit.skyhooks.adapters.exchange import CASES, LIMITS, SECRET, Switched, exchange, hook, post


class Bench:
    def __init__(self, mount: str, container: Container, store: Switched) -> None:
        self.mount = mount
        self.container = container
        self.store = store


@asynccontextmanager
async def serving(secret: str = "", handler: type[WebhookHandler] = WebhookHandler) -> AsyncIterator[Bench]:
    (listener,) = bind_sockets(0, "127.0.0.1")
    mount = f"http://127.0.0.1:{listener.getsockname()[1]}/skyhooks"
    store = Switched()
    container = Container(store, url=mount, secret=secret, limits=LIMITS)
    server = HTTPServer(Application(routes(container, "/skyhooks/", handler), xsrf_cookies=True))
    server.add_socket(listener)
    async with container:
        yield Bench(mount, container, store)
    server.stop()
    await server.close_all_connections()


@pytest.mark.parametrize("name", CASES)
async def test_every_request_has_its_answer(name: str) -> None:
    async with serving() as bench:
        await asyncio.to_thread(exchange, CASES[name], bench.mount)


async def test_a_signed_webhook_is_heard_and_an_unsigned_one_changes_nothing() -> None:
    heard: list[Any] = []
    async with serving(SECRET) as bench:
        await bench.container.register({"account_id": "acme"}, heard.append)
        status, answer = await asyncio.to_thread(post, bench.mount, hook())
        assert (status, answer["code"]) == (401, "unsigned")
        status, answer = await asyncio.to_thread(lambda: post(bench.mount, hook(), signed=True))
        assert (status, answer["notified"]) == (200, 1)
        await until(lambda: heard)
        assert heard == bench.store.data() == [{"n": 1}]


async def test_a_subclass_sees_every_answer_and_may_refuse() -> None:
    answers: list[int] = []

    class Choosy(WebhookHandler):
        def prepare(self) -> None:
            if self.request.headers.get("X-Forwarded-For"):
                raise HTTPError(403)

        def answered(self, answer: Answer) -> None:
            answers.append(answer.status)

    async with serving(handler=Choosy) as bench:
        call: Callable[..., Any] = lambda **headers: post(bench.mount, hook(), **headers)  # noqa: E731
        assert (await asyncio.to_thread(call))[0] == 200
        with pytest.raises(ValueError, match="Expecting value"):  # Tornado's own page, not ours
            await asyncio.to_thread(lambda: call(**{"X-Forwarded-For": "10.0.0.1"}))
        assert len(bench.store.data()) == 1
    assert answers == [200]
