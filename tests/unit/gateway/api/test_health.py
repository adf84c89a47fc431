import threading
from collections.abc import Iterator

import pytest

from skyhooks.errors import StoreUnavailable
from skyhooks.store.base import Lease
from skyhooks.store.memory import MemoryStore
from tests.unit.gateway.api.conftest import Client, assert_problem, read


async def test_a_process_that_answers_is_healthy(ask: Client) -> None:
    response = await ask("GET", "/healthz")
    assert (response.code, read(response)) == (200, {"status": "ok"})


async def test_a_node_whose_store_answers_is_ready(ask: Client) -> None:
    response = await ask("GET", "/readyz")
    assert (response.code, read(response)) == (200, {"status": "ready"})


async def test_a_node_that_drains_is_not_ready_and_says_why(ask: Client, reasons: list[str]) -> None:
    reasons.append("the node is draining")
    response = await ask("GET", "/readyz")
    assert assert_problem(response, 503, "not_ready") == "the node is draining"
    assert response.headers["Retry-After"] == "1"


async def test_status_tells_what_the_node_does(ask: Client) -> None:
    assert read(await ask("GET", "/api/status")) == {
        "node": "n1",
        "version": "0.1",
        "store": "memory",
        "channels": 2,
        "subscribers": 3,
        "uptime": 1.5,
    }


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_a_load_balancer_may_ask_by_any_name_and_without_a_body(ask: Client, path: str) -> None:
    response = await ask("HEAD", path, Host="balancer.internal")
    assert (response.code, response.body) == (200, b"")


class TestWithTheStoreAway:
    class Away(MemoryStore):
        def leases(self, prefix: str) -> list[Lease]:
            raise StoreUnavailable("disk I/O error")

    @pytest.fixture
    def memory(self) -> MemoryStore:
        return self.Away()

    async def test_the_node_is_alive_but_not_ready(self, ask: Client) -> None:
        assert (await ask("GET", "/healthz")).code == 200
        assert "disk I/O error" in assert_problem(await ask("GET", "/readyz"), 503, "not_ready")


class TestWithAStoreThatHangs:
    class Hanging(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.release_all = threading.Event()

        def leases(self, prefix: str) -> list[Lease]:
            self.release_all.wait(30)
            return []

    @pytest.fixture
    def memory(self) -> Iterator[MemoryStore]:
        memory = self.Hanging()
        yield memory
        memory.release_all.set()

    @pytest.fixture(autouse=True)
    def _let_go(self, store: object, memory: Hanging) -> Iterator[None]:
        yield
        memory.release_all.set()

    async def test_the_node_is_not_ready_after_a_second(self, ask: Client) -> None:
        assert "within 1 second" in assert_problem(await ask("GET", "/readyz"), 503, "not_ready")
