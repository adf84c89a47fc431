import asyncio
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from gateway.edge.connections import Connections
from gateway.edge.settings import EdgeSettings
from skyhooks.errors import Refused
from tests.unit.gateway.edge.conftest import eventually


def make(**settings: object) -> Connections:
    return Connections(EdgeSettings(**settings), asyncio.get_running_loop(), tick=0.01)


async def test_connections_are_counted_over_all_and_by_address() -> None:
    connections = make(connections=3, connections_per_address=2)
    keys = [connections.admit("1.1.1.1"), connections.admit("1.1.1.1")]
    with pytest.raises(Refused) as caught:
        connections.admit("1.1.1.1")
    assert (caught.value.code, caught.value.status) == ("too_many_connections", 429)
    connections.admit("2.2.2.2")
    with pytest.raises(Refused) as caught:
        connections.admit("3.3.3.3")
    assert caught.value.status == 503
    connections.leave(keys.pop())
    connections.admit("1.1.1.1")
    assert connections.open == 3


async def test_one_ipv6_site_counts_as_one() -> None:
    connections = make(connections_per_address=1)
    connections.admit("2001:db8::1")
    with pytest.raises(Refused):
        connections.admit("2001:db8::2")
    connections.admit("2001:db8:0:1::1")


async def test_loopback_and_proxies_are_not_counted_by_address() -> None:
    connections = make(connections_per_address=1, trusted_proxies=EdgeSettings.trusted_proxies.read("10.0.0.0/8"))
    for peer in ("127.0.0.1", "10.0.0.1", "::1") * 3:
        connections.admit(peer)
    assert connections.open == 9


async def test_a_flood_of_connections_is_one_line() -> None:
    connections = make(connections=1)
    connections.admit("1.1.1.1")
    for _ in range(100):
        with pytest.raises(Refused):
            connections.admit("1.1.1.1")
    with capture_logs() as logs:
        connections.start()
        await eventually(lambda: logs)
        connections.stop()
    assert [(line["event"], line["count"]) for line in logs] == [("connections_refused", 100)]


async def test_the_end_waits_for_connections_and_for_handlers_that_outlive_them() -> None:
    connections, release = make(), asyncio.Event()
    key = connections.admit("127.0.0.1")

    async def work() -> None:
        await release.wait()

    connections.adopt(connections.spawn(work()))
    assert not await connections.emptied(0.0)
    connections.leave(key)
    assert not await connections.emptied(0.0)
    release.set()
    assert await connections.emptied(5.0)


async def test_handlers_can_be_given_up() -> None:
    connections = make()
    task = connections.spawn(asyncio.sleep(1000))
    connections.adopt(task)
    connections.cancel_orphans()
    assert await connections.emptied(5.0)
    assert task.cancelled()


async def test_a_client_above_its_rate_is_refused_and_an_exempt_one_never() -> None:
    connections = make(requests_per_second=0.1, requests_burst=2)
    for _ in range(100):
        connections.slow_down(None)
    for _ in range(2):
        connections.slow_down("1.1.1.1")
    connections.slow_down("2.2.2.2")
    with pytest.raises(Refused) as caught:
        connections.slow_down("1.1.1.1")
    assert (caught.value.code, caught.value.status) == ("too_many_requests", 429)
    assert 9 <= int(caught.value.headers["Retry-After"]) <= 10


async def test_many_refusals_are_one_line_a_turn() -> None:
    connections = make(requests_per_second=0.01, requests_burst=1)
    with capture_logs() as lines:
        connections.start()
        for _ in range(50):
            with suppress(Refused):
                connections.slow_down("1.1.1.1")
        await eventually(lambda: lines)
        connections.stop()
    assert [(line["event"], line["count"]) for line in lines] == [("requests_refused", 49)]
