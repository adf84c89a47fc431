import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyhooks.errors import Refused
from skyhooks.publication import Draft, TaskMark
from skyhooks.webhook import MAX_ID, compact, draft_of, encode_webhook, parse_webhook

MARK = TaskMark("run", 1, "SUCCESS")
DEEP = b"[" * 100_000 + b"]" * 100_000

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def parsed(line: bytes, fallback: str = "drawn") -> Draft:
    return draft_of(parse_webhook(line), fallback)


def refusal(line: bytes) -> str:
    with pytest.raises(Refused) as caught:
        parsed(line)
    assert caught.value.status == 400
    return caught.value.code


def test_the_original_shape_is_for_the_accounts_channel() -> None:
    draft = parsed(b'{"keys": {"account_id": "acme"}, "data": {"n": 1}}')
    assert draft == Draft(id="drawn", channels=("accounts/acme",), data=b'{"n":1}')


def test_a_result_is_for_both_channels_its_tasks_first() -> None:
    line = encode_webhook({"account_id": 7, "task_id": "t1"}, {"n": 1}, "t1:end", MARK)
    assert parsed(line) == Draft(id="t1:end", channels=("tasks/t1", "accounts/7"), data=b'{"n":1}', task=MARK)


def test_a_result_without_an_account_is_for_its_task_alone() -> None:
    assert parsed(encode_webhook({"task_id": "t1"}, 1, "t1:end", MARK)).channels == ("tasks/t1",)


def test_seven_and_seven_in_quotes_are_one_account() -> None:
    channels = {parsed(b'{"keys":{"account_id":%s},"data":1}' % account).channels for account in (b"7", b'"7"')}
    assert channels == {("accounts/7",)}


def test_what_is_not_said_is_not_sent() -> None:
    assert encode_webhook({"account_id": "a"}, None) == b'{"keys":{"account_id":"a"},"data":null}'


@given(values)
def test_data_arrives_as_it_was_sent(value: Any) -> None:
    data = parsed(encode_webhook({"account_id": "a"}, value)).data
    assert json.loads(data) == value
    assert b"\n" not in data
    assert b"\r" not in data


@given(values)
def test_data_in_any_layout_is_kept_in_one_line(value: Any) -> None:
    data = compact(json.dumps(value, indent=2).encode())
    assert json.loads(data) == value
    assert b"\n" not in data


@pytest.mark.parametrize("number", [b"1.0e400", b"-0", b"123456789012345678901234567890", b"0.10"])
def test_numbers_keep_their_digits(number: bytes) -> None:
    assert compact(b" " + number + b" ") == number


@pytest.mark.parametrize("value", [object(), [object()], float, {"a": {1: object()}}])
def test_what_cannot_be_json_is_the_senders_error(value: Any) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        encode_webhook({"account_id": "a"}, value)


NOT_JSON = [
    b"",
    b" ",
    b"{",
    b"nonsense",
    b"{'a':1}",
    b"[1,]",
    b"NaN",
    b"01",
    b"1 2",
    b'"a\nb"',
    b'"\xff"',
    b"1\x00",
    b'"\\ud800"',
]


@pytest.mark.parametrize("body", [*NOT_JSON, DEEP, b"\xef\xbb\xbf1"], ids=lambda body: repr(body[:12]))
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        compact(body)
    assert caught.value.code == "bad_json"
    assert refusal(b'{"keys":{"account_id":"a"},"data":' + body + b"}") == "bad_json"


@given(st.binary(max_size=60))
def test_whatever_comes_is_compact_json_or_refused(body: bytes) -> None:
    with suppress(Refused):
        kept = compact(body)
        assert compact(kept) == kept
        assert json.loads(kept) == json.loads(body)


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b'"x"',
        b"null",
        b"{}",
        b'{"keys":{"account_id":"a"}}',
        b'{"data":1}',
        b'{"keys":[],"data":1}',
        b'{"keys":{"account_id":null},"data":1}',
        b'{"keys":{"account_id":true},"data":1}',
        b'{"keys":{"account_id":1e999},"data":1}',
        b'{"keys":{"account_id":["a"]},"data":1}',
        b'{"keys":{"account_id":"a"},"data":1,"extra":1}',
        b'{"keys":{"account_id":"a"},"data":1,"id":7}',
        b'{"keys":{"account_id":"a"},"data":1,"task":{}}',
        b'{"keys":{"account_id":"a"},"data":1,"task":{"run":"r","retries":0,"state":"S","more":1}}',
        b'{"keys":{"account_id":"a"},"data":1,"task":{"run":"r","retries":"0","state":"S"}}',
        b'{"keys":{"account_id":' + b"9" * 6000 + b'},"data":1}',
    ],
    ids=lambda line: line.decode()[:60],
)
def test_json_of_another_shape_is_refused(line: bytes) -> None:
    assert refusal(line) == "bad_webhook"


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({}, "bad_keys"),
        ({"customer": "a"}, "bad_keys"),
        ({"account_id": "a", "user": "b"}, "bad_keys"),
        ({"x" * 1000: "a"}, "bad_keys"),
        ({"account_id": ""}, "bad_account"),
        ({"account_id": "a/b"}, "bad_account"),
        ({"account_id": 10**200}, "bad_account"),
        ({"task_id": ""}, "bad_task_id"),
        ({"task_id": "../a"}, "bad_task_id"),
        ({"account_id": "a", "task_id": "a b"}, "bad_task_id"),
    ],
)
def test_bad_keys_are_refused(keys: dict[str, Any], code: str) -> None:
    assert refusal(json.dumps({"keys": keys, "data": 1}).encode()) == code


def test_a_task_mark_needs_its_task() -> None:
    assert refusal(encode_webhook({"account_id": "a"}, 1, "id", MARK)) == "bad_keys"


@pytest.mark.parametrize(("number", "name"), [("7", "7"), ("7.0", "7"), ("-7.0", "-7"), ("70e-1", "7")])
def test_a_whole_number_is_its_digits_however_it_is_spelled(number: str, name: str) -> None:
    line = f'{{"keys":{{"account_id":{number},"task_id":{number}}},"data":1}}'.encode()
    assert parsed(line).channels == (f"tasks/{name}", f"accounts/{name}")


@pytest.mark.parametrize(("key", "code"), [("account_id", "bad_account"), ("task_id", "bad_task_id")])
@pytest.mark.parametrize("number", ["1.5", "1e17", "9007199254740994.0"])
def test_a_number_that_may_have_lost_digits_is_refused(number: str, key: str, code: str) -> None:
    assert refusal(f'{{"keys":{{"{key}":{number}}},"data":1}}'.encode()) == code


@pytest.mark.parametrize("name", ["x" * MAX_ID, "a b", " ~", "t:end"])
def test_an_id_is_kept(name: str) -> None:
    assert parsed(encode_webhook({"account_id": "a"}, 1, name)).id == name


@pytest.mark.parametrize("name", ["x" * (MAX_ID + 1), "a\n", "\x00", "\u2028", "\u00fc"])
def test_a_bad_id_is_refused(name: str) -> None:
    assert refusal(encode_webhook({"account_id": "a"}, 1, name)) == "bad_id"


@pytest.mark.parametrize(
    "mark", ['"run":"","retries":-1', '"run":"","retries":2147483648', f'"run":"{"r" * 201}","retries":0']
)
def test_a_task_mark_that_a_store_could_not_carry_is_refused(mark: str) -> None:
    line = f'{{"keys":{{"task_id":"t"}},"data":1,"task":{{{mark},"state":"STARTED"}}}}'
    assert refusal(line.encode()) == "bad_webhook"


def test_a_webhook_without_an_id_gets_the_one_that_was_drawn() -> None:
    assert parsed(b'{"keys":{"account_id":"a"},"data":1,"id":""}', "drawn").id == "drawn"
