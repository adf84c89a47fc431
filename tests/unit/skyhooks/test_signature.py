import base64
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from skyhooks.errors import Refused, SettingsError
from skyhooks.signature import TOLERANCE, Secret, make_secret, parse_secrets, signed_headers, verify

# The test vector of the Standard Webhooks specification.
VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
VECTOR_TIME = 1614265330
VECTOR_BODY = b'{"test": 2432232314}'
VECTOR_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

NEW, OLD, OTHER = (Secret(make_secret(bytes([n]) * 32)) for n in (1, 2, 3))
NOW = 1_800_000_000.0

ids = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)
# Everything that Python can hold in a header, lone surrogates too.
anything = st.text(st.characters(exclude_categories=()), max_size=40)


def headers(*secrets: Secret, message_id: str = "m1", at: float = NOW, body: bytes = b"{}") -> dict[str, str]:
    return signed_headers(secrets or (NEW,), message_id, int(at), body)


def refusal(given_headers: dict[str, str], body: bytes = b"{}", now: float = NOW) -> str:
    with pytest.raises(Refused) as caught:
        verify([NEW], given_headers, body, now)
    assert caught.value.status == 401
    return caught.value.code


def test_the_vector_of_the_specification_is_met() -> None:
    assert Secret(VECTOR_SECRET).sign(VECTOR_ID, VECTOR_TIME, VECTOR_BODY) == VECTOR_SIGNATURE
    sent = {"webhook-id": VECTOR_ID, "webhook-timestamp": str(VECTOR_TIME), "webhook-signature": VECTOR_SIGNATURE}
    assert verify([Secret(VECTOR_SECRET)], sent, VECTOR_BODY, VECTOR_TIME) == VECTOR_ID


@given(ids, st.text(), st.binary(min_size=24, max_size=64))
def test_another_implementation_verifies_what_we_sign(message_id: str, text: str, key: bytes) -> None:
    secret, now, body = make_secret(key), int(time.time()), text.encode()
    Webhook(secret).verify(body, signed_headers([Secret(secret)], message_id, now, body), json_parse=False)


@given(ids, st.text(), st.binary(min_size=24, max_size=64))
def test_we_verify_what_another_implementation_signs(message_id: str, text: str, key: bytes) -> None:
    secret = make_secret(key)
    signature = Webhook(secret).sign(message_id, datetime.fromtimestamp(NOW, UTC), text)
    sent = {"webhook-id": message_id, "webhook-timestamp": str(int(NOW)), "webhook-signature": signature}
    assert verify([Secret(secret)], sent, text.encode(), NOW) == message_id


def test_another_implementation_refuses_what_was_changed_after_we_signed() -> None:
    secret = make_secret(b"k" * 32)
    sent = signed_headers([Secret(secret)], "m1", int(time.time()), b"{}")
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(b"[]", sent)


def test_a_changed_body_is_refused() -> None:
    assert refusal(headers(), b"[]") == "bad_signature"


@pytest.mark.parametrize("change", [{"webhook-id": "m2"}, {"webhook-timestamp": str(int(NOW) + 1)}])
def test_a_changed_header_is_refused(change: dict[str, str]) -> None:
    assert refusal({**headers(), **change}) == "bad_signature"


def test_another_secret_is_refused() -> None:
    assert refusal(headers(OTHER)) == "bad_signature"


def test_while_a_secret_is_rotated_either_side_may_be_first() -> None:
    both = headers(NEW, OLD)
    assert len(both["webhook-signature"].split(" ")) == 2
    assert verify([OLD], both, b"{}", NOW) == "m1"
    assert verify([NEW], both, b"{}", NOW) == "m1"
    assert verify([NEW, OLD], headers(OLD), b"{}", NOW) == "m1"
    with pytest.raises(Refused):
        verify([OTHER], both, b"{}", NOW)


def test_without_secrets_nothing_is_accepted() -> None:
    with pytest.raises(Refused) as caught:
        verify([], headers(), b"{}", NOW)
    assert caught.value.code == "bad_signature"


def test_signatures_of_other_versions_are_passed_over() -> None:
    sent = headers()
    sent["webhook-signature"] = "v1a,AAAA v2,x " + sent["webhook-signature"] + " v1"
    assert verify([NEW], sent, b"{}", NOW) == "m1"


def test_the_version_is_part_of_what_must_match() -> None:
    sent = headers()
    sent["webhook-signature"] = sent["webhook-signature"].replace("v1,", "v2,")
    assert refusal(sent) == "bad_signature"


def test_no_more_than_a_few_signatures_are_looked_at() -> None:
    sent = headers()
    sent["webhook-signature"] = "v1,x " * 16 + sent["webhook-signature"]
    assert refusal(sent) == "bad_signature"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_every_header_is_needed(name: str) -> None:
    sent = headers()
    assert refusal({**sent, name: ""}) == "unsigned"
    del sent[name]
    assert refusal(sent) == "unsigned"


@pytest.mark.parametrize("away", [-TOLERANCE, 0, TOLERANCE])
def test_a_timestamp_within_the_tolerance_is_accepted(away: int) -> None:
    assert verify([NEW], headers(at=NOW + away), b"{}", NOW) == "m1"


@pytest.mark.parametrize("away", [-TOLERANCE - 1, TOLERANCE + 1, -int(NOW)])
def test_a_stale_timestamp_is_refused_however_well_signed(away: int) -> None:
    assert refusal(headers(at=NOW + away)) == "stale_timestamp"


@pytest.mark.parametrize(
    "stamp", ["now", "-1", "+1800000000", "1800000000.0", "1e9", " 1800000000", "1_800_000_000", "9" * 13, "\u0661"]
)
def test_a_timestamp_that_is_no_count_of_seconds_is_refused(stamp: str) -> None:
    assert refusal({**headers(), "webhook-timestamp": stamp}) == "bad_timestamp"


@given(st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), anything))
def test_malformed_headers_are_refused_and_raise_nothing_else(changes: dict[str, str]) -> None:
    sent = {**headers(), **changes}
    if sent != headers():
        assert refusal(sent) in ("unsigned", "bad_timestamp", "stale_timestamp", "bad_signature")


def test_a_header_that_utf_8_cannot_carry_is_a_bad_signature() -> None:
    assert refusal({**headers(), "webhook-id": "\udcff"}) == "bad_signature"
    assert refusal({**headers(), "webhook-signature": "v1,\udcff"}) == "bad_signature"


@pytest.mark.parametrize("length", [24, 32, 64])
def test_a_secret_is_made_of_random_bytes(length: int) -> None:
    text = make_secret(b"k" * length)
    assert text == "whsec_" + base64.b64encode(b"k" * length).decode()
    assert Secret(text).sign("m", 1, b"") == Secret(text).sign("m", 1, b"")


@pytest.mark.parametrize("length", [0, 1, 23, 65])
def test_a_secret_of_another_length_cannot_be_used(length: int) -> None:
    with pytest.raises(SettingsError, match="24 to 64 random bytes"):
        make_secret(b"k" * length)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "hunter2" * 8,
        "whsec_hunter2!" + "A" * 32,
        "whsec_" + "\u00fc" * 40,
        "Whsec_" + "A" * 40,
        "whsec_AAA",
    ],
)
def test_what_is_no_secret_is_said_without_repeating_it(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Secret(text)
    assert "hunter2" not in str(caught.value)


def test_a_secret_does_not_show_itself() -> None:
    assert "MfKQ9" not in repr(Secret(VECTOR_SECRET))
    assert not hasattr(Secret(VECTOR_SECRET), "__dict__")


def test_several_secrets_are_separated_by_spaces_or_commas() -> None:
    one, two = make_secret(b"1" * 24), make_secret(b"2" * 24)
    signatures = [Secret(text).sign("m", 1, b"") for text in (one, two)]
    for text in (f"{one} {two}", f"{one},{two}", f" {one} ,\n{two} "):
        assert [secret.sign("m", 1, b"") for secret in parse_secrets(text)] == signatures
    assert parse_secrets("") == ()
    with pytest.raises(SettingsError):
        parse_secrets(f"{one} nonsense")
