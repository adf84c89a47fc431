"""The cluster over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.gateway.api.conftest import Client, assert_problem, read
from tests.unit.gateway.cluster.stations import Station, served, stations


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[list[Station]]:
    async with stations(tmp_path, "n1", "n2", leader="n2") as made:
        yield made


@pytest.fixture
async def ask(pair: list[Station]) -> AsyncIterator[Client]:
    async with served(pair[0]) as port:
        client = Client(port)
        yield client
        client.close()


async def test_every_node_is_listed_with_its_status(ask: Client) -> None:
    answer = await ask("GET", "/api/nodes")
    found = read(answer)
    assert (answer.code, found["asked"], found["leader"], found["term"]) == (200, "n1", "n2", 3)
    assert [(node["id"], node["leads"], node["status"]["nodes"]) for node in found["nodes"]] == [
        ("n1", False, 2),
        ("n2", True, 2),
    ]


async def test_presence_is_asked_by_the_channels_own_name(ask: Client, pair: list[Station]) -> None:
    pair[0].subscribers, pair[1].subscribers = {"accounts/acme": 1}, {"accounts/acme": 2}
    for path in ("/api/channels/accounts/acme/presence", "/api/channels/accounts%2Facme/presence"):
        assert read(await ask("GET", path)) == {
            "channel": "accounts/acme",
            "subscribers": 3,
            "nodes": {"n1": 1, "n2": 2},
            "unknown": {},
        }
    assert_problem(await ask("GET", "/api/channels/a%20b/presence"), 400, "bad_channel")


async def test_a_node_is_told_to_drain(ask: Client, pair: list[Station]) -> None:
    answer = await ask("POST", "/api/nodes/n2/drain", b"")
    assert (answer.code, read(answer)) == (202, {"id": "n2", "draining": True})
    assert (pair[0].drained, pair[1].drained) == (0, 1)


async def test_a_node_that_is_not_there_is_not_drained(ask: Client) -> None:
    assert "there are n1, n2" in assert_problem(await ask("POST", "/api/nodes/n3/drain", b""), 404, "unknown_node")


async def test_no_foreign_page_and_no_foreign_host_drains_anything(ask: Client, pair: list[Station]) -> None:
    path = "/api/nodes/n2/drain"
    assert_problem(await ask("POST", path, b"", Origin="https://evil.example"), 403, "bad_origin")
    assert_problem(await ask("POST", path, b"", Origin="null"), 403, "bad_origin")
    assert_problem(await ask("POST", path, b"", Host="evil.example"), 421, "bad_host")
    assert_problem(await ask("GET", path), 405, "method_not_allowed")
    assert pair[1].drained == 0
    assert (await ask("POST", path, b"", Origin="https://app.example")).code == 202
    assert pair[1].drained == 1


@pytest.mark.parametrize("path", ["/api/nodes?all=1", "/api/channels/a/presence?x=1"])
async def test_a_query_is_refused(ask: Client, path: str) -> None:
    assert_problem(await ask("GET", path), 400, "bad_query")
