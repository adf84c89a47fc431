"""``POST /hooks`` of a real gateway: one answer for each webhook of a batch, and where the limits are."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from skyhooks.store import open_store
from tests.conformance.sending import parcels, sender_of
from tests.gateways import Gateway, running
from tests.processes import eventually

NDJSON = {"Content-Type": "application/x-ndjson"}
MOST = 20
BODY = 64 * 1024


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with running("--open", "-X", f"batch_items={MOST}", "-X", f"body_bytes={BODY}") as gateway:
        yield gateway
        assert gateway.problems == []


def webhook(account: str, data: Any = 1, **more: Any) -> bytes:
    return json.dumps({"keys": {"account_id": account}, "data": data, **more}).encode()


def post(gateway: Gateway, body: bytes, headers: dict[str, str] = NDJSON) -> requests.Response:
    return requests.post(f"{gateway.url}/hooks", data=body, headers=headers, timeout=10)


def head_of(gateway: Gateway, account: str) -> str:
    """Where a channel stands, as a new subscriber is told."""
    with requests.get(f"{gateway.url}/channels/accounts/{account}", stream=True, timeout=5) as stream:
        line = next(stream.iter_lines(chunk_size=1))
        return str(json.loads(line)["position"])


def test_each_webhook_of_a_batch_has_its_answer_in_its_place(gateway: Gateway) -> None:
    lines = [
        webhook("batch", 1, id="a"),
        b"not json",
        webhook("batch", 2, id="b"),
        webhook("no/account", 3, id="c"),
        b'{"keys": {}, "data": 1}',
        webhook("batch", 1, id="a"),
        b"\xff",
        webhook("batch", "x" * 10, id="d"),
    ]
    answer = post(gateway, b"\n".join(lines))
    assert answer.status_code == 200
    items = answer.json()["items"]
    assert [(item["status"], item.get("code", "")) for item in items] == [
        ("stored", ""),
        ("refused", "bad_json"),
        ("stored", ""),
        ("refused", "bad_account"),
        ("refused", "bad_keys"),
        ("duplicate", ""),
        ("refused", "bad_json"),
        ("stored", ""),
    ]
    assert items[0]["positions"] == items[5]["positions"]
    offsets = [int(items[place]["positions"]["accounts/batch"].rpartition("-")[2]) for place in (0, 2, 7)]
    assert offsets == [1, 2, 3]


def test_a_batch_of_nothing_but_bad_webhooks_stores_nothing(gateway: Gateway) -> None:
    answer = post(gateway, b"1\n[]\n{}")
    assert answer.status_code == 200
    assert [item["status"] for item in answer.json()["items"]] == ["refused"] * 3


def test_as_many_as_the_limit_are_taken_and_one_more_is_none(gateway: Gateway) -> None:
    lines = [webhook("many", number) for number in range(MOST + 1)]
    refused = post(gateway, b"\n".join(lines))
    assert (refused.status_code, refused.json()["code"]) == (413, "bad_batch")
    assert f"1 to {MOST}" in refused.json()["detail"]
    assert head_of(gateway, "many") == "0"
    taken = post(gateway, b"\n".join(lines[:MOST]) + b"\n")
    assert [item["status"] for item in taken.json()["items"]] == ["stored"] * MOST


@pytest.mark.parametrize("body", [b"", b"\n", b" \r\n\t\n"])
def test_a_batch_of_nothing_is_refused(gateway: Gateway, body: bytes) -> None:
    answer = post(gateway, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_batch")


def test_empty_lines_and_line_ends_of_any_kind_do_not_count(gateway: Gateway) -> None:
    answer = post(gateway, b"\n\r\n" + webhook("lines") + b"\r\n\n" + webhook("lines") + b"\r\n")
    assert [item["status"] for item in answer.json()["items"]] == ["stored"] * 2


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_the_limit_is_refused_and_nothing_of_it_stored(gateway: Gateway, chunked: bool) -> None:
    lines = [webhook("large", "x" * (BODY // 4)) for _ in range(5)]
    body: Any = iter(lines) if chunked else b"\n".join(lines)
    try:
        answer = post(gateway, body)
    except requests.ConnectionError:
        assert chunked  # the client may still be sending when the connection ends
    else:
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert head_of(gateway, "large") == "0"


def test_a_body_of_exactly_the_limit_is_taken(gateway: Gateway) -> None:
    empty = len(webhook("exact", ""))
    body = webhook("exact", "x" * (BODY - empty))
    assert len(body) == BODY
    assert post(gateway, body, {"Content-Type": "application/json"}).status_code == 200


def test_one_webhook_that_is_bad_is_a_problem_of_its_own(gateway: Gateway) -> None:
    answer = post(gateway, b"{}", {"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_webhook")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("listen", ["127.0.0.1", "::1"])
def test_a_sender_finds_a_gateway_by_its_registration_and_posts_to_it(listen: str, tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/s.db"
    store = open_store(url)
    with running("--open", "--store", url, "--node-id", "g", listen=listen) as gateway:
        eventually(lambda: store.leases("nodes/"), what="the gateway is registered")
        batch = parcels(5)
        sender_of(store, "").publish(batch)
        assert [parcel.published for parcel in batch] == [True] * 5
        head = store.head("accounts/acme")
        assert head is not None
        assert head.offset == 5
        assert gateway.problems == []
    store.close()
