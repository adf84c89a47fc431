"""What a request of webhooks means and how it is answered, whoever takes it in."""

import json

import pytest

from skyhooks.errors import Refused
from skyhooks.intake import Batch, Intake, unavailable
from skyhooks.publication import Draft, Outcome, Position
from skyhooks.signature import Secret, make_secret, signed_headers

SECRET = Secret(make_secret(b"k" * 24))
NOW = 1_700_000_000
NDJSON = {"content-type": "application/x-ndjson"}


def hook(**more: object) -> bytes:
    return json.dumps({"keys": {"account_id": "acme"}, "data": {"n": 1}, **more}).encode()


def intake(*secrets: Secret, most: int = 3) -> Intake:
    return Intake(verify_with=secrets, clock=lambda: float(NOW), most=most)


def stored(draft: Draft, offset: int = 1) -> Outcome:
    return Outcome("stored", {name: Position("e", offset) for name in draft.channels})


def test_one_webhook_becomes_one_draft_with_an_id_of_its_own() -> None:
    first, second = (intake().read({}, hook()).drafts for _ in range(2))
    assert first[0].channels == ("accounts/acme",)
    assert first[0].data == b'{"n":1}'
    assert first[0].id != second[0].id != ""


def test_a_batch_keeps_its_order_and_a_bad_line_its_place() -> None:
    lines = [hook(id="a"), b"{", hook(id="b", keys={"user": 1}), b"", hook(id="c")]
    batch = intake(most=4).read(NDJSON, b"\n".join(lines))
    assert [draft.id for draft in batch.drafts] == ["a", "c"]
    answer = batch.answer([stored(draft) for draft in batch.drafts], lambda _: 0)
    assert [(item.id, item.status, item.code) for item in answer.items] == [
        ("a", "stored", ""),
        ("", "refused", "bad_json"),
        ("b", "refused", "bad_keys"),
        ("c", "stored", ""),
    ]
    assert answer.items[0].positions == {"accounts/acme": "e-1"}


def test_a_batch_has_a_limit_and_is_not_empty() -> None:
    assert len(intake().read(NDJSON, b"\n".join([hook()] * 3)).drafts) == 3
    for body, status in ((b"\n".join([hook()] * 4), 413), (b"\n\n", 400)):
        with pytest.raises(Refused) as refused:
            intake().read(NDJSON, body)
        assert (refused.value.code, refused.value.status) == ("bad_batch", status)


def test_listeners_of_a_channel_count_once_and_only_for_what_was_stored() -> None:
    drafts = [Draft(id=str(n), channels=("tasks/t", "accounts/acme"), data=b"1") for n in range(3)]
    outcomes = [stored(drafts[0]), stored(drafts[1], 2), Outcome("superseded")]
    count = {"tasks/t": 1, "accounts/acme": 5}
    assert Batch(drafts).answer(outcomes, count.__getitem__).notified == 6
    again = [Outcome("duplicate", {"accounts/acme": Position("e", 1)})] * 3
    assert Batch(drafts).answer(again, count.__getitem__).notified == 0


def test_with_secrets_every_request_is_verified_before_it_is_read() -> None:
    headers = signed_headers([SECRET], "msg_1", NOW, hook())
    assert len(intake(SECRET).read(headers, hook()).drafts) == 1
    for given, body, code in (({}, b"{", "unsigned"), (headers, b"{", "bad_signature")):
        with pytest.raises(Refused) as refused:
            intake(SECRET).read(given, body)
        assert (refused.value.code, refused.value.status) == (code, 401)


def test_another_content_type_is_refused() -> None:
    assert intake().read({"content-type": "Application/JSON; charset=utf-8"}, hook()).drafts
    with pytest.raises(Refused) as refused:
        intake().read({"content-type": "text/plain"}, hook())
    assert refused.value.status == 415


def test_a_log_that_is_away_asks_to_come_again() -> None:
    assert (unavailable().status, unavailable().headers) == (503, {"Retry-After": "1"})
