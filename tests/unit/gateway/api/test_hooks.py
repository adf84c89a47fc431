from typing import Any

import pytest

from skyhooks.registry import hook_of, node_lease
from skyhooks.store.memory import MemoryStore
from tests.unit.gateway.api.conftest import Client, assert_problem, read

ACME = {"keys": {"account_id": "acme"}, "url": "https://acme.example/hooks", "kind": "endpoint"}


async def listed(ask: Client, query: str = "") -> list[dict[str, Any]]:
    hooks: list[dict[str, Any]] = read(await ask("GET", f"/api/hooks{query}"))["hooks"]
    return hooks


async def test_an_endpoint_is_registered_listed_and_removed(ask: Client) -> None:
    response = await ask("POST", "/api/hooks", ACME)
    hook = read(response)
    assert response.code == 201
    assert response.headers["Location"] == f"/api/hooks/{hook['id']}"
    assert {name: hook[name] for name in ACME} == ACME
    assert await listed(ask) == [hook]
    removed = await ask("DELETE", f"/api/hooks/{hook['id']}")
    assert (removed.code, removed.body) == (204, b"")
    assert await listed(ask) == []


async def test_the_same_registration_gives_the_same_hook(ask: Client) -> None:
    first, second = [read(await ask("POST", "/api/hooks", ACME)) for _ in range(2)]
    assert first == second
    assert await listed(ask) == [first]


async def test_seven_and_seven_in_quotes_are_one_account(ask: Client) -> None:
    for account in (7, "7"):
        await ask("POST", "/api/hooks", {**ACME, "keys": {"account_id": account}})
    (hook,) = await listed(ask, "?account_id=7")
    assert hook["keys"] == {"account_id": "7"}


async def test_the_list_can_be_that_of_one_account(ask: Client) -> None:
    acme = read(await ask("POST", "/api/hooks", ACME))
    await ask("POST", "/api/hooks", {**ACME, "keys": {"account_id": "other"}})
    assert await listed(ask, "?account_id=acme") == [acme]


async def test_the_gateways_hooks_are_shown_while_they_live(ask: Client, memory: MemoryStore) -> None:
    memory.add_hook(hook_of({"account_id": "acme"}, "http://127.0.0.1:8080/hooks", "gateway", "n1"))
    assert await listed(ask) == []
    memory.lease(node_lease("n1"), "n1", 60)
    assert [hook["kind"] for hook in await listed(ask)] == ["gateway"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kind": "gateway"}, "bad_body"),
        ({"secret": "x"}, "bad_body"),
        ({"keys": []}, "bad_body"),
        ({"keys": {"account_id": None}}, "bad_body"),
        ({"keys": {}}, "bad_keys"),
        ({"keys": {"Customer!": "acme"}}, "bad_keys"),
        ({"keys": {"account_id": "a b"}}, "bad_account"),
        ({"url": 7}, "bad_body"),
        ({"url": "acme.example"}, "bad_url"),
        ({"url": "ftp://acme.example/"}, "bad_url"),
        ({"url": "javascript:alert(1)"}, "bad_url"),
        ({"url": "https://"}, "bad_url"),
        ({"url": "https://[/"}, "bad_url"),
        ({"url": "https://user:secret@acme.example/"}, "bad_url"),
        ({"url": "https://a.example/\r\nX: y"}, "bad_url"),
    ],
)
async def test_what_is_no_registration_is_refused_and_nothing_is_stored(
    ask: Client, change: dict[str, Any], code: str
) -> None:
    assert_problem(await ask("POST", "/api/hooks", {**ACME, **change}), 400, code)
    assert await listed(ask) == []


@pytest.mark.parametrize("query", ["?account=acme", "?account_id=a&account_id=b", "?account_id=acme&x=1"])
async def test_a_query_that_is_not_understood_is_refused(ask: Client, query: str) -> None:
    assert_problem(await ask("GET", f"/api/hooks{query}"), 400, "bad_query")


async def test_a_bad_account_in_the_query_is_refused(ask: Client) -> None:
    assert_problem(await ask("GET", "/api/hooks?account_id="), 400, "bad_account")


async def test_removing_what_is_not_there_says_so(ask: Client) -> None:
    assert_problem(await ask("DELETE", "/api/hooks/none"), 404, "unknown_hook")
