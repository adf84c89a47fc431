"""The WSGI endpoint under a real server, with every exchange checked against PEP 3333."""

import threading
from collections.abc import Iterator
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.validate import validator

import pytest
import requests

from skyhooks.adapters.container import Container
from skyhooks.adapters.wsgi import WebhookMiddleware, headers_of
from tests.processes import eventually
from tests.unit.skyhooks.adapters.exchange import CASES, LIMITS, SECRET, Switched, exchange, hook, post


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """The test says what matters."""


def plain(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """An application of somebody else."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"app {environ['SCRIPT_NAME']}{environ['PATH_INFO']}".encode()]


class Bench:
    def __init__(self, secret: str = "") -> None:
        self.server = WSGIServer(("127.0.0.1", 0), Quiet)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        self.mount = f"{self.base}/skyhooks"
        self.store = Switched()
        self.container = Container(self.store, url=self.mount, secret=secret, limits=LIMITS)
        self.server.set_app(validator(WebhookMiddleware(validator(plain), self.container)))
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.container.start()

    def close(self) -> None:
        self.container.stop()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    bench = Bench(getattr(request, "param", ""))
    yield bench
    bench.close()


@pytest.mark.parametrize("name", CASES)
def test_every_request_has_its_answer(bench: Bench, name: str) -> None:
    exchange(CASES[name], bench.mount)


@pytest.mark.parametrize("bench", [SECRET], indirect=True)
def test_a_signed_webhook_is_heard_and_an_unsigned_one_changes_nothing(bench: Bench) -> None:
    heard: list[Any] = []
    bench.container.register({"account_id": "acme"}, heard.append)
    assert post(bench.mount, hook())[1]["code"] == "unsigned"
    status, answer = post(bench.mount, hook(), signed=True)
    assert (status, answer["notified"]) == (200, 1)
    eventually(lambda: heard)
    assert heard == bench.store.data() == [{"n": 1}]


def test_the_application_inside_answers_everything_else(bench: Bench) -> None:
    for path in ("/", "/skyhooks", "/skyhooksish/hooks", "/hooks"):
        assert requests.get(bench.base + path, timeout=10).text == f"app {path}"
    assert requests.get(f"{bench.mount}/nothing", timeout=10).status_code == 404


def test_headers_are_found_where_wsgi_puts_them() -> None:
    environ = {"HTTP_WEBHOOK_ID": "msg_1", "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": "", "wsgi.input": None}
    assert headers_of(environ) == {"webhook-id": "msg_1", "content-type": "application/json"}
