import json
from collections.abc import Callable

import msgspec
import pytest

from gateway.appender import Appender
from gateway.edge.request import Request
from gateway.ingest import Ingest
from skyhooks.errors import Refused
from skyhooks.signature import Secret, make_secret, signed_headers
from skyhooks.store.threaded import ThreadedStore
from tests.unit.gateway.stores import Switched

SECRET = Secret(make_secret(b"k" * 24))
OLD = Secret(make_secret(b"o" * 24))
NOW = 1_700_000_000


class Bench:
    def __init__(self, *secrets: Secret) -> None:
        self.store = Switched()
        appender = Appender(ThreadedStore(self.store), lambda drafts, outcomes: None, count=64, size=1 << 20)
        count: Callable[[str], int] = {"accounts/acme": 2, "tasks/t": 1}.get
        self.ingest = Ingest(
            appender.append, lambda name: count(name) or 0, verify_with=secrets, clock=lambda: NOW + 10, most=3
        )

    async def post(self, body: bytes, kind: str = "application/json", headers: dict[str, str] | None = None) -> dict:
        request = Request(
            method="POST",
            path="/hooks",
            query={},
            headers={"content-type": kind, **(headers or {})},
            body=body,
            remote="127.0.0.1",
        )
        response = await self.ingest(request)
        assert response.status == 200
        return msgspec.json.decode(response.body)


def hook(**more: object) -> bytes:
    return json.dumps({"keys": {"account_id": "acme"}, "data": {"n": 1}, **more}).encode()


async def test_the_original_shape_is_taken_and_answered_with_notified() -> None:
    answer = await Bench().post(hook())
    assert (answer["status"], answer["notified"]) == ("ok", 2)
    assert answer["items"][0]["status"] == "stored"


async def test_a_result_goes_into_the_tasks_and_the_accounts_channel() -> None:
    bench = Bench()
    body = hook(keys={"account_id": 7, "task_id": "t"}, id="t:end", task={"run": "r", "retries": 0, "state": "SUCCESS"})
    answer = await bench.post(body)
    assert set(answer["items"][0]["positions"]) == {"tasks/t", "accounts/7"}
    assert answer["notified"] == 1
    again = await bench.post(body)
    assert again["items"][0]["status"] == "duplicate"
    assert again["items"][0]["positions"] == answer["items"][0]["positions"]
    assert again["notified"] == 0


async def test_a_batch_is_answered_item_by_item_and_one_bad_line_spoils_no_other() -> None:
    bench = Bench()
    lines = [hook(id="a"), b'{"keys": {}, "data": 1, "id": "b"}', hook(id="c")]
    answer = await bench.post(b"\n".join(lines), "application/x-ndjson")
    assert [(item["id"], item["status"]) for item in answer["items"]] == [
        ("a", "stored"),
        ("b", "refused"),
        ("c", "stored"),
    ]
    assert answer["items"][1]["code"] == "bad_keys"


@pytest.mark.parametrize(
    ("body", "kind", "code", "status"),
    [
        (b"{", "application/json", "bad_json", 400),
        (b'"\xff"', "application/json", "bad_json", 400),
        (b"[" * 100_000, "application/json", "bad_webhook", 400),
        (b'{"keys": {"account_id": "a"}, "data": 1, "extra": 1}', "application/json", "bad_webhook", 400),
        (b'{"keys": {"account_id": "a b"}, "data": 1}', "application/json", "bad_account", 400),
        (b'{"keys": {"user": "a"}, "data": 1}', "application/json", "bad_keys", 400),
        (b'{"keys": {"task_id": "a/b"}, "data": 1}', "application/json", "bad_task_id", 400),
        (hook(task={"run": "", "retries": 0, "state": "X"}), "application/json", "bad_keys", 400),
        (hook(id="x" * 201), "application/json", "bad_id", 400),
        (hook(), "text/csv", "bad_content_type", 415),
        (b"", "application/x-ndjson", "bad_batch", 400),
        (b"\n".join([hook()] * 4), "application/x-ndjson", "bad_batch", 413),
    ],
)
async def test_bad_webhooks_are_refused_and_change_nothing(body: bytes, kind: str, code: str, status: int) -> None:
    bench = Bench()
    with pytest.raises(Refused) as refused:
        await bench.post(body, kind)
    assert (refused.value.code, refused.value.status) == (code, status)
    assert bench.store.batches == []


async def test_a_store_that_cannot_commit_is_503_with_retry_after() -> None:
    bench = Bench()
    bench.store.away = True
    with pytest.raises(Refused) as refused:
        await bench.post(hook())
    assert (refused.value.code, refused.value.status) == ("store_unavailable", 503)
    assert refused.value.headers == {"Retry-After": "1"}


async def test_with_secrets_a_webhook_must_be_signed_by_one_of_them() -> None:
    bench = Bench(SECRET, OLD)
    for secret in (SECRET, OLD):
        await bench.post(hook(), headers=signed_headers([secret], "msg_1", NOW, hook()))
    with pytest.raises(Refused) as refused:
        await bench.post(hook())
    assert (refused.value.code, refused.value.status) == ("unsigned", 401)


async def test_a_signature_for_other_bytes_or_another_time_is_refused() -> None:
    bench = Bench(SECRET)
    for timestamp, body, code in ((NOW, b"{}", "bad_signature"), (NOW - 400, hook(), "stale_timestamp")):
        with pytest.raises(Refused) as refused:
            await bench.post(hook(), headers=signed_headers([SECRET], "msg_1", timestamp, body))
        assert refused.value.code == code
    assert bench.store.batches == []
