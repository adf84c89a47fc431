from typing import Any

import pytest

from skyhooks.errors import Refused
from skyhooks.registry import MAX_URL, Node, Registry, hook_keys, hook_of, hook_url, node_info, node_lease, node_of
from skyhooks.store.base import Lease
from skyhooks.store.memory import MemoryStore
from tests.contract.clock import Clock

URL = "https://acme.example/hooks"
HUGE = 10**5000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(clock: Clock) -> Registry:
    return Registry(MemoryStore(clock))


def code(call: Any, *arguments: Any) -> str:
    with pytest.raises(Refused) as caught:
        call(*arguments)
    return caught.value.code


def test_a_registered_url_is_found_by_its_key(registry: Registry) -> None:
    hook = registry.register({"account_id": 7}, URL)
    assert (hook.kind, hook.keys, hook.url) == ("endpoint", {"account_id": "7"}, URL)
    assert registry.find({"account_id": "7"}) == registry.list() == [hook]
    assert registry.find({"account_id": 8}) == []


def test_a_hook_is_found_by_keys_that_include_its_own(registry: Registry) -> None:
    hook = registry.register({"account_id": 7}, URL)
    assert registry.find({"account_id": 7, "task_id": "t"}) == [hook]


def test_registering_again_gives_the_same_hook(registry: Registry) -> None:
    assert registry.register({"account_id": 7}, URL) == registry.register({"account_id": "7"}, URL)
    assert len(registry.list()) == 1


def test_ids_are_random() -> None:
    assert len({hook_of({"account_id": 7}, URL).id for _ in range(100)}) == 100


def test_a_hook_is_unregistered_by_its_id(registry: Registry) -> None:
    hook = registry.register({"account_id": 7}, URL)
    assert registry.unregister(hook.id)
    assert not registry.unregister(hook.id)
    assert registry.list() == []


def test_hooks_are_unregistered_by_exactly_their_keys_and_url(registry: Registry) -> None:
    registry.register({"account_id": 7}, URL)
    others = [
        registry.register({"account_id": 7}, "https://other.example/"),
        registry.register({"account_id": 8}, URL),
        registry.register({"account_id": 7, "task_id": "t"}, URL),
    ]
    assert registry.unregister_url({"account_id": "7"}, URL) == 1
    assert registry.unregister_url({"account_id": "7"}, URL) == 0
    assert registry.unregister_url({"account_id": 8, "task_id": "t"}, URL) == 0
    assert registry.list() == others


def test_the_gateways_of_a_key_are_those_that_live(registry: Registry, clock: Clock) -> None:
    for node in ("n1", "n2"):
        registry.announce(node, f"http://{node}", ttl=10)
        registry.register({"account_id": 7}, f"http://{node}/hooks", "gateway", node)
    registry.register({"account_id": 7}, URL)
    registry.register({"account_id": 8}, "http://n1/other", "gateway", "n1")
    assert registry.gateways({"account_id": 7}) == ["http://n1/hooks", "http://n2/hooks"]
    clock.advance(5)
    registry.announce("n2", "http://n2", ttl=10)
    clock.advance(5)
    assert registry.gateways({"account_id": 7}) == ["http://n2/hooks"]


def test_a_gateway_that_matches_twice_is_named_once(registry: Registry) -> None:
    registry.announce("n1", "http://n1", ttl=10)
    for keys in ({"account_id": 7}, {"account_id": 7, "task_id": "t"}):
        registry.register(keys, "http://n1/hooks", "gateway", "n1")
    assert registry.gateways({"account_id": 7, "task_id": "t"}) == ["http://n1/hooks"]


def test_nodes_are_those_that_announced_themselves_and_did_not_withdraw(registry: Registry, clock: Clock) -> None:
    registry.announce("n2", "http://b", ttl=10)
    lease = registry.announce("n1", "http://a", ttl=20)
    assert registry.nodes() == [Node("n1", "http://a"), Node("n2", "http://b")]
    clock.advance(10)
    assert registry.nodes() == [Node("n1", "http://a")]
    assert registry.withdraw(lease)
    assert not registry.withdraw(lease)
    assert registry.nodes() == []


def test_a_node_that_moves_says_where_it_is_now(registry: Registry) -> None:
    registry.announce("n1", "http://a", ttl=10)
    registry.announce("n1", "http://b", ttl=10)
    assert registry.nodes() == [Node("n1", "http://b")]


def test_a_node_whose_id_another_one_holds_is_refused(clock: Clock) -> None:
    store = MemoryStore(clock)
    store.lease(node_lease("n1"), "somebody else", 10)
    with pytest.raises(Refused, match="another node") as caught:
        Registry(store).announce("n1", "http://a", ttl=10)
    assert (caught.value.code, caught.value.status) == ("node_taken", 409)


def test_a_node_may_tell_more_of_itself() -> None:
    assert node_of(Lease("nodes/n1", "n1", 1, 5.0, '{"url":"http://a","open":true}')) == Node("n1", "http://a")
    assert node_of(Lease("nodes/n1", "n1", 1, 5.0, node_info("http://a"))) == Node("n1", "http://a")


def repr_of(value: object) -> str:
    try:
        return repr(value)[:40]
    except ValueError:
        return "huge"


def test_keys_are_spelled_in_one_way() -> None:
    assert hook_keys({"account_id": 7, "task_id": "t-1"}) == {"account_id": "7", "task_id": "t-1"}


@pytest.mark.parametrize(
    ("keys", "refusal"),
    [
        ({}, "bad_keys"),
        ([("account_id", 7)], "bad_keys"),
        (None, "bad_keys"),
        ({f"k{'x' * n}": 1 for n in range(9)}, "bad_keys"),
        ({"Account": 7}, "bad_keys"),
        ({"account-id": 7}, "bad_keys"),
        ({"key1": 7}, "bad_keys"),
        ({"account_id\n": 7}, "bad_keys"),
        ({"": 7}, "bad_keys"),
        ({"k" * 65: 7}, "bad_keys"),
        ({7: 7}, "bad_keys"),
        ({HUGE: 7}, "bad_keys"),
        ({"account_id": ""}, "bad_account"),
        ({"account_id": None}, "bad_account"),
        ({"account_id": True}, "bad_account"),
        ({"account_id": 7.5}, "bad_account"),
        ({"account_id": "a b"}, "bad_account"),
        ({"account_id": "a/b"}, "bad_account"),
        ({"account_id": HUGE}, "bad_account"),
    ],
    ids=repr_of,
)
def test_bad_keys_are_refused(keys: Any, refusal: str) -> None:
    assert code(hook_keys, keys) == refusal


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost",
        "https://acme.example:8443/a/b?c=d&e=%20",
        "http://127.0.0.1:9100/hooks",
        "http://[::1]:9100/",
        "HTTPS://ACME.example/",
        "https://acme.example/" + "a" * (MAX_URL - 21),
    ],
)
def test_urls_that_webhooks_can_be_sent_to_are_left_as_they_are(url: str) -> None:
    assert hook_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        None,
        7,
        b"http://x/",
        "/hooks",
        "acme.example/hooks",
        "//acme.example/",
        "http:/acme.example",
        "http:acme.example",
        "http://",
        "http:///path",
        "http://:80/",
        "http://x:99999/",
        "http://x:port/",
        "http://x:0/",
        "http://[::1/",
        "http://[zz]/",
        "ftp://acme.example/",
        "javascript:alert(1)",
        "http://acme example/",
        "http://acme.example/\r\nX: y",
        "http://acme.example/\x00",
        "http://ac\u00fcme.example/",
        "http://user:password@acme.example/",
        "http://acme.example/#top",
        "https://acme.example/" + "a" * (MAX_URL - 20),
    ],
)
def test_urls_that_no_webhook_can_be_sent_to_are_refused(url: Any) -> None:
    assert code(hook_url, url) == "bad_url"


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(Refused) as caught:
        hook_url("http://user:hunter2@acme.example/")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("node", ["", "a b", "a/b", "n" * 129, "n\n", None])
def test_a_gateways_hook_names_its_node(node: Any) -> None:
    assert code(hook_of, {"account_id": 7}, URL, "gateway", node) == "bad_node"
    assert code(node_lease, node) == "bad_node"


def test_an_endpoint_belongs_to_no_node() -> None:
    assert code(hook_of, {"account_id": 7}, URL, "endpoint", "n1") == "bad_node"


@pytest.mark.parametrize("kind", ["", "Gateway", "webhook", None, []])
def test_other_kinds_are_refused(kind: Any) -> None:
    assert code(hook_of, {"account_id": 7}, URL, kind) == "bad_kind"


def test_what_is_refused_is_not_stored(registry: Registry) -> None:
    assert code(registry.register, {"account_id": 7}, "nowhere") == "bad_url"
    assert code(registry.register, {"Account": 7}, URL) == "bad_keys"
    assert code(registry.announce, "a b", "http://a", 10) == "bad_node"
    assert code(registry.announce, "n1", "a", 10) == "bad_url"
    assert registry.list() == []
    assert registry.nodes() == []
