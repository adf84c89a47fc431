"""An independent implementation of Standard Webhooks (PyPI ``standardwebhooks``) and ours understand each other."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from standardwebhooks import Webhook, WebhookVerificationError

from skyhooks.signature import make_secret, parse_secrets, signed_headers
from skyhooks.store import open_store
from skyhooks.store.memory import MemoryStore
from tests.conformance.sending import parcels, register, sender_of, sent
from tests.gateways import Gateway, running

OLD = make_secret(bytes(range(24)))
NEW = make_secret(bytes(range(64, 0, -1)))
STRANGE = make_secret(b"s" * 32)
BODY = '{"keys":{"account_id":"acme"},"data":"ü"}'


@pytest.mark.parametrize("count", [1, 3])
def test_what_a_worker_posts_is_accepted(count: int) -> None:
    (caught,) = sent(NEW, MemoryStore(), count)
    Webhook(NEW).verify(caught.body, caught.headers, json_parse=count == 1)
    items = [json.loads(line) for line in caught.body.split(b"\n")]
    assert [item["id"] for item in items] == [f"acme-{number}:end" for number in range(count)]


@pytest.mark.parametrize("change", ["webhook-id", "webhook-timestamp", "webhook-signature", "body"])
def test_what_was_changed_on_the_way_is_not(change: str) -> None:
    (caught,) = sent(NEW, MemoryStore(), 1)
    headers, body = dict(caught.headers), caught.body
    if change == "body":
        body = body.replace(b"acme", b"evil")
    elif change == "webhook-timestamp":
        headers[change] = str(int(headers[change]) - 1)
    else:
        headers[change] = headers[change][:-3] + "AA="
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(STRANGE).verify(caught.body, caught.headers)


def test_a_worker_signs_with_the_first_of_its_secrets() -> None:
    (caught,) = sent(f"{NEW} {OLD}", MemoryStore(), 1)
    Webhook(NEW).verify(caught.body, caught.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(caught.body, caught.headers)


def test_while_a_secret_is_rotated_either_one_verifies_what_is_signed_with_both() -> None:
    stamp = int(datetime.now(UTC).timestamp())
    headers = signed_headers(parse_secrets(f"{NEW},{OLD}"), "msg_1", stamp, BODY.encode())
    for secret in (OLD, NEW):
        assert Webhook(secret).verify(BODY, headers)["data"] == "ü"
    with pytest.raises(WebhookVerificationError):
        Webhook(STRANGE).verify(BODY, headers)


def post(
    gateway: Gateway, secret: str, at: datetime | None = None, body: str = BODY, **changed: str
) -> tuple[int, str]:
    """What a gateway answers to a webhook that the other implementation has signed: status, and status or code."""
    at = at or datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("msg_1", at, body),
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    answer = requests.post(f"{gateway.url}/hooks", data=body.encode(), headers=headers, timeout=5)
    return answer.status_code, answer.json().get("code") or answer.json()["items"][0]["status"]


def test_a_gateway_accepts_what_the_other_implementation_signs() -> None:
    with running("-X", f"secret={NEW},{OLD}") as gateway:
        assert post(gateway, NEW) == (200, "stored")
        assert post(gateway, OLD) == (200, "stored")  # rotated: the old one is still good
        assert post(gateway, STRANGE) == (401, "bad_signature")
        both = f"v1a,AAAA {Webhook(STRANGE).sign('msg_1', datetime.now(UTC), BODY)} "
        signature = Webhook(OLD).sign("msg_1", datetime.now(UTC), BODY)
        assert post(gateway, NEW, webhook_signature=both + signature) == (200, "stored")
        assert post(gateway, NEW, webhook_id="msg_2") == (401, "bad_signature")
        now = datetime.now(UTC)
        assert post(gateway, NEW, now - timedelta(minutes=4)) == (200, "stored")
        assert post(gateway, NEW, now - timedelta(minutes=6)) == (401, "stale_timestamp")
        assert post(gateway, NEW, now + timedelta(minutes=6)) == (401, "stale_timestamp")
        assert gateway.problems == []


def test_a_secret_is_rotated_without_a_result_that_is_refused(tmp_path: Path) -> None:
    """First the gateways learn the new secret, then the workers sign with it, then the gateways forget the old one."""
    url = f"sqlite://{tmp_path}/s.db"
    store = open_store(url)
    steps = [(OLD, OLD), (f"{NEW},{OLD}", OLD), (f"{NEW},{OLD}", NEW), (NEW, NEW)]
    for number, (gateways, workers) in enumerate(steps):
        with running("-X", f"secret={gateways}", "--store", url, "--node-id", f"g{number}") as gateway:
            register(store, gateway.url)
            batch = parcels(3, account=f"step{number}")
            sender_of(store, workers).publish(batch)
            assert [parcel.published for parcel in batch] == [True] * 3
            assert store.head(f"accounts/step{number}")
    with running("-X", f"secret={NEW}", "--store", url) as gateway:
        register(store, gateway.url)
        late = parcels(1, account="late")
        sender_of(store, OLD).publish(late)
        assert not late[0].published
        assert store.head("accounts/late") is None
    store.close()
