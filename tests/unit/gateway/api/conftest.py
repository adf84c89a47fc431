"""A control plane on a real server, with a real store and a real broker in this process."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
from celery import Celery
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from gateway.api.application import make_application
from gateway.api.catalogue import Catalogue
from gateway.api.control import Control, Status
from gateway.submit import Submitter, make_sender
from skyhooks.store.memory import MemoryStore
from skyhooks.store.threaded import ThreadedStore
from tests.unit.gateway.broker import MEMORY, emptied

TASKS = ("workers.tasks.countdown", "proj.unknown")
STATUS = Status(node="n1", version="0.1", store="memory", channels=2, subscribers=3, uptime=1.5)


class Client:
    """Talks to one control plane; the answers are whole."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.host = f"127.0.0.1:{port}"
        self._client = AsyncHTTPClient(force_instance=True)

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> HTTPResponse:
        """Ask; `body` other than bytes is sent as JSON, and `headers` are named with ``_`` for ``-``."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, bytes):
            body = msgspec.json.encode(body)
            sent.setdefault("Content-Type", "application/json")
        return await self._client.fetch(
            f"http://{self.host}{path}",
            method=method,
            headers=sent,
            body=body,
            raise_error=False,
            allow_nonstandard_methods=True,
        )

    def close(self) -> None:
        self._client.close()


def read(response: HTTPResponse) -> Any:
    """The JSON of an answer."""
    return msgspec.json.decode(response.body)


def assert_problem(response: HTTPResponse, status: int, code: str) -> str:
    """It is problem+json of this status and code (RFC 9457); returns the detail."""
    body = read(response)
    assert (response.code, body["status"], body["code"]) == (status, status, code), response.body
    assert response.headers["Content-Type"] == "application/problem+json"
    assert body["type"] == f"urn:skyhooks:problem:{code}"
    assert "Traceback" not in body["detail"]
    return str(body["detail"])


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def store(memory: MemoryStore) -> AsyncIterator[ThreadedStore]:
    store = ThreadedStore(memory)
    yield store
    await store.close()


@pytest.fixture
def broker() -> Iterator[Celery]:
    with emptied(make_sender(MEMORY)) as app:
        yield app


@pytest.fixture
def reasons() -> list[str]:
    """Why the node is not ready; a test may add to it."""
    return []


@pytest.fixture
def control(store: ThreadedStore, broker: Celery, reasons: list[str]) -> Control:
    return Control(store, Submitter(broker, store), Catalogue(TASKS), lambda: STATUS, lambda: reasons)


@pytest.fixture
async def ask(control: Control) -> AsyncIterator[Client]:
    server = HTTPServer(make_application(control, hosts=("hooks.example",), origins=("https://app.example",)))
    sock, port = bind_unused_port()
    server.add_socket(sock)
    client = Client(port)
    yield client
    client.close()
    server.stop()
    await server.close_all_connections()
