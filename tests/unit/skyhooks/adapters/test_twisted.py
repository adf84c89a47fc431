"""A Twisted program takes webhooks as a gateway does; the reactor calls callbacks, and waits for their Deferreds."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from twisted.internet import reactor as twisted_reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.threads import blockingCallFromThread
from twisted.web.resource import Resource
from twisted.web.server import Site

from skyhooks.adapters.twisted import Container, WebhookResource
from skyhooks.errors import StoreUnavailable
from tests.processes import eventually
from tests.unit.skyhooks.adapters.exchange import CASES, LIMITS, SECRET, Switched, exchange, hook, post

reactor: Any = twisted_reactor


@pytest.fixture(scope="module", autouse=True)
def reactor_thread() -> Iterator[threading.Thread]:
    """A reactor runs once in a process, so all tests here share it."""
    thread = threading.Thread(target=reactor.run, kwargs={"installSignalHandlers": False})
    thread.start()
    eventually(lambda: reactor.running)
    yield thread
    reactor.callFromThread(reactor.stop)
    thread.join(10)


class Bench:
    def __init__(self, secret: str = "") -> None:
        self.store = Switched()
        self.heard: list[Any] = []
        self.port = self.call(reactor.listenTCP, 0, Site(Resource()), interface="127.0.0.1")
        self.mount = f"http://127.0.0.1:{self.port.getHost().port}/skyhooks"
        self.container = Container(self.store, reactor, url=self.mount, secret=secret, limits=LIMITS)
        self.port.factory.resource.putChild(b"skyhooks", WebhookResource(self.container))
        self.call(self.container.start)

    def call(self, what: Any, *args: Any, **kwargs: Any) -> Any:
        return blockingCallFromThread(reactor, what, *args, **kwargs)

    def close(self) -> None:
        self.call(self.container.stop)
        self.call(self.port.stopListening)


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    bench = Bench(getattr(request, "param", ""))
    yield bench
    bench.close()


@pytest.mark.parametrize("name", CASES)
def test_every_request_has_its_answer(bench: Bench, name: str) -> None:
    exchange(CASES[name], bench.mount)


def test_other_paths_are_not_found(bench: Bench) -> None:
    for path in ("", "/", "/nothing", "/hooks/more"):
        assert requests.get(bench.mount + path, timeout=10).status_code == 404


@pytest.mark.parametrize("bench", [SECRET], indirect=True)
def test_a_signed_webhook_is_heard_in_the_reactor_and_an_unsigned_one_changes_nothing(
    bench: Bench, reactor_thread: threading.Thread
) -> None:
    threads: list[int | None] = []

    def callback(data: Any) -> None:
        bench.heard.append(data)
        threads.append(threading.get_ident())

    bench.call(bench.container.register, {"account_id": "acme"}, callback)
    assert post(bench.mount, hook())[1]["code"] == "unsigned"
    status, answer = post(bench.mount, hook(), signed=True)
    assert (status, answer["notified"]) == (200, 1)
    eventually(lambda: threads)
    assert threads == [reactor_thread.ident]
    assert bench.heard == bench.store.data() == [{"n": 1}]


def test_a_deferred_is_waited_for_before_the_next_call_and_delays_no_other(bench: Bench) -> None:
    waiting: list[Deferred[None]] = []

    def slow(data: int) -> "Deferred[None]":
        bench.heard.append(data)
        waiting.append(Deferred())
        return waiting[-1]

    other: list[int] = []
    bench.call(bench.container.register, {"account_id": 7}, slow)
    bench.call(bench.container.register, {"account_id": 7}, other.append)
    for n in range(3):
        assert bench.call(bench.container.notify, {"account_id": 7}, n)["notified"] == 2
    eventually(lambda: other == [0, 1, 2])
    assert bench.heard == [0]
    for n in range(3):
        eventually(lambda n=n: len(waiting) == n + 1)
        bench.call(waiting[n].callback, None)
    eventually(lambda: bench.heard == [0, 1, 2])


def test_a_deferred_that_fails_and_a_coroutine_function_are_callbacks_too(bench: Bench) -> None:
    async def coroutine(data: int) -> None:
        bench.heard.append(data)

    broken = bench.call(bench.container.register, {"account_id": 7}, lambda _: fail(ValueError("broken")))
    bench.call(bench.container.register, {"account_id": 7}, coroutine)
    for n in range(3):
        bench.call(bench.container.notify, {"account_id": 7}, n)
    eventually(lambda: (broken.failures, bench.heard) == (3, [0, 1, 2]))


def test_an_unregistered_callback_hears_nothing_more(bench: Bench) -> None:
    callback = bench.heard.append
    bench.call(bench.container.register, {"account_id": 7}, callback)
    assert bench.call(bench.container.unregister, {"account_id": 7}, callback)
    assert bench.call(bench.container.notify, {"account_id": 7}, 1)["notified"] == 0


def test_a_store_that_is_away_is_told_to_whoever_asks(bench: Bench) -> None:
    bench.store.away = True
    with pytest.raises(StoreUnavailable):
        bench.call(bench.container.register, {"account_id": 7}, print)
    assert post(bench.mount, hook())[0] == 503
    bench.store.away = False


def test_without_twisted_it_is_said_what_to_install() -> None:
    program = "import sys; sys.modules['twisted'] = None; import skyhooks.adapters.twisted"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert ended.stderr.splitlines()[-1] == (
        "ImportError: skyhooks.adapters.twisted needs Twisted, which is not installed: pip install twisted"
    )
