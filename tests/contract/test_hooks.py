"""`HookStore`: who wants to know of what."""

from typing import Literal

import pytest

from skyhooks.store.base import Hook, Store
from tests.contract.clock import Clock

ACME = {"account_id": "acme"}


def hook(
    name: str,
    keys: dict[str, str] | None = None,
    kind: Literal["gateway", "endpoint"] = "endpoint",
    url: str = "https://x.example/",
    node: str = "",
) -> Hook:
    return Hook(id=name, kind=kind, keys=ACME if keys is None else keys, url=url, node=node)


def gateway(name: str, node: str) -> Hook:
    return hook(name, kind="gateway", url=f"http://{node}/hooks", node=node)


def found(store: Store, keys: dict[str, str] | None = None) -> list[str]:
    return [one.id for one in store.hooks(keys)]


def test_a_hook_comes_back_as_it_was_stored(store: Store) -> None:
    one = hook("h1", {"b": "2", "a": "ü"})
    assert store.add_hook(one) == one
    assert store.hooks() == [one]


def test_the_same_registration_gives_the_hook_that_is_there(store: Store) -> None:
    first = store.add_hook(hook("h1", {"a": "1", "b": "2"}))
    assert store.add_hook(hook("h2", {"b": "2", "a": "1"})) == first
    assert found(store) == ["h1"]


@pytest.mark.parametrize(
    "other",
    [
        hook("h2", {"account_id": "other"}),
        hook("h2", url="https://y.example/"),
        hook("h2", kind="gateway", node="n"),
        hook("h2", {**ACME, "task_id": "t"}),
    ],
)
def test_another_registration_is_another_hook(store: Store, other: Hook) -> None:
    store.add_hook(hook("h1"))
    assert store.add_hook(other) == other


def test_nodes_at_one_address_have_hooks_of_their_own(store: Store) -> None:
    store.add_hook(hook("old", kind="gateway", node="n1"))
    store.add_hook(hook("new", kind="gateway", node="n2"))
    store.lease("nodes/n2", "n2", 10)
    assert found(store, ACME) == ["new"]


@pytest.mark.parametrize(
    ("keys", "matching"),
    [
        ({"account_id": "acme"}, ["account"]),
        ({"account_id": "acme", "task_id": "t1"}, ["account", "both", "task"]),
        ({"account_id": "acme", "task_id": "t2", "more": "x"}, ["account"]),
        ({"account_id": "other", "task_id": "t1"}, ["task"]),
        ({"task_id": "acme"}, []),
        ({}, []),
    ],
)
def test_a_hook_matches_when_all_its_keys_are_given(store: Store, keys: dict[str, str], matching: list[str]) -> None:
    store.add_hook(hook("account", ACME))
    store.add_hook(hook("both", {"account_id": "acme", "task_id": "t1"}))
    store.add_hook(hook("task", {"task_id": "t1"}))
    assert found(store, keys) == matching


def test_a_hook_without_keys_matches_everything(store: Store) -> None:
    store.add_hook(hook("all", {}))
    assert found(store, ACME) == found(store, {}) == ["all"]


def test_hooks_are_listed_oldest_first(store: Store) -> None:
    for name in ("c", "a", "b"):
        store.add_hook(hook(name, url=f"https://{name}.example/"))
    assert found(store) == found(store, ACME) == ["c", "a", "b"]


def test_a_kind_can_be_asked_for(store: Store) -> None:
    store.add_hook(hook("endpoint"))
    store.add_hook(gateway("gateway", "n1"))
    store.lease("nodes/n1", "n1", 10)
    assert [one.id for one in store.hooks(ACME, "gateway")] == ["gateway"]
    assert [one.id for one in store.hooks(None, "endpoint")] == ["endpoint"]
    assert found(store, ACME) == ["endpoint", "gateway"]


def test_a_removed_hook_is_gone(store: Store) -> None:
    store.add_hook(hook("h1"))
    assert store.remove_hook("h1")
    assert not store.remove_hook("h1")
    assert found(store) == []


def test_a_gateways_hook_counts_while_its_nodes_lease_is_in_force(store: Store, clock: Clock) -> None:
    store.add_hook(gateway("h1", "n1"))
    assert found(store, ACME) == found(store) == []
    store.lease("nodes/n1", "n1", 10)
    assert found(store, ACME) == found(store) == ["h1"]
    clock.advance(10)
    assert found(store, ACME) == found(store) == []
    store.lease("nodes/n1", "n1", 10)
    assert found(store, ACME) == ["h1"]
    store.release("nodes/n1", "n1", 2)
    assert found(store, ACME) == []


def test_another_nodes_lease_does_not_count(store: Store) -> None:
    store.add_hook(gateway("h1", "n1"))
    store.lease("nodes/n2", "n2", 10)
    store.lease("n1", "n1", 10)
    assert found(store, ACME) == []


def test_hooks_of_nodes_that_are_gone_are_swept_after_a_while(store: Store, clock: Clock) -> None:
    store.lease("nodes/n1", "n1", 10)
    store.lease("nodes/n2", "n2", 10_000)
    for one in (gateway("dead", "n1"), gateway("alive", "n2"), gateway("never announced", "n3"), hook("endpoint")):
        store.add_hook(one)
    clock.advance(3600)
    assert store.sweep_hooks() == 0
    clock.advance(11)
    store.add_hook(gateway("young", "n4"))
    assert store.sweep_hooks() == 2
    for node in ("n1", "n3", "n4"):
        store.lease(f"nodes/{node}", node, 10)
    assert found(store) == ["alive", "endpoint", "young"]
