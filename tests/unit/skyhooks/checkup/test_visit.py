"""Visits to apps that listen, and to servers that answer strangely. Those to gateways are in test_gateways.py."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest

from skyhooks.adapters.container import Container
from skyhooks.adapters.wsgi import WebhookMiddleware
from skyhooks.checkup import Subject
from skyhooks.checkup.gateways import gateways, secret
from skyhooks.checkup.visit import Visitor
from skyhooks.gateways import LiveNode
from skyhooks.signature import parse_secrets
from skyhooks.store import open_store
from tests.processes import eventually
from tests.unit.skyhooks.checkup.planting import OTHER, SECRET, environment, names


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """The test says what matters."""


def no_page(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"no page"]


@contextmanager
def listening_app(folder: Path) -> Iterator[str]:
    """An app of somebody else that has registered itself; gives its URL."""
    store = open_store(environment(folder)["SKYHOOKS_STORE"])
    server = WSGIServer(("127.0.0.1", 0), Quiet)
    url = f"http://127.0.0.1:{server.server_port}/skyhooks"
    container = Container(store, url=url, secret=SECRET)
    server.set_app(WebhookMiddleware(no_page, container))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    container.start()
    try:
        eventually(lambda: store.leases("nodes/"), what="the app's lease")
        yield url
    finally:
        container.stop()
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[LiveNode]:
    """A server that answers as its handler does, as a node."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield LiveNode("n", f"http://127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        server.server_close()


def test_an_app_that_listens_is_no_gateway_and_its_secret_is_checked_too(tmp_path: Path) -> None:
    with listening_app(tmp_path) as url:
        right = Subject(environment(tmp_path, SECRET))
        found = list(gateways(right))
        assert [finding.name for finding in found] == ["no_gateway", ""]
        assert f"at {url}: ready" in found[1].what
        assert names(secret, right) == []
        assert names(secret, Subject(environment(tmp_path, OTHER))) == ["other_secret"]
        (visit,) = right.visits
        assert visit.skew is not None
        assert abs(visit.skew) < 10


def test_an_app_that_is_registered_with_the_url_of_something_else(tmp_path: Path) -> None:
    class Elsewhere(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """The test says what matters."""

    subject = Subject(environment(tmp_path, SECRET))
    with serving(Elsewhere) as node:
        store = open_store(subject.store_url)
        store.lease("nodes/shop", "shop", 60, f'{{"url": "{node.url}", "role": "app"}}')
        store.close()
        assert names(gateways, subject) == ["no_gateway", "gateway_not_ready"]


@pytest.mark.parametrize("date", [None, "yesterday"])
def test_a_server_that_does_not_tell_the_time_has_no_skew(date: str | None) -> None:
    class Timeless(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(200)
            if date:
                self.send_header("Date", date)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    with serving(Timeless) as node:
        visit = Visitor(parse_secrets(SECRET))(node)
    assert (visit.skew, visit.status) == (None, None)
    assert visit.refusal is not None


def test_a_server_that_hangs_up_is_a_failure_in_one_line() -> None:
    class Rude(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.connection.close()

    with serving(Rude) as node:
        visit = Visitor(())(node)
    assert visit.failure
    assert "\n" not in visit.failure
