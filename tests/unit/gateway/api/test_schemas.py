"""What the schemas allow is what the code takes."""

import json
from typing import Any

import jsonschema_rs
import pytest

from gateway.api.hooks import Registration
from gateway.api.schemas import CHANNEL, POSITION, components
from skyhooks.channel import channel_name
from skyhooks.errors import Refused
from skyhooks.publication import Position
from skyhooks.registry import hook_of
from skyhooks.webhook import draft_of, parse_webhook

SCHEMAS = {"components": {"schemas": components()}}


def valid(name: str, value: Any) -> bool:
    schema = {"$ref": f"#/components/schemas/{name}", **SCHEMAS}
    return bool(jsonschema_rs.Draft202012Validator(schema).is_valid(value))


def refused(check: Any, *values: Any) -> bool:
    try:
        check(*values)
    except Refused:
        return True
    return False


@pytest.mark.parametrize(
    "webhook",
    [
        {"keys": {"account_id": "acme"}, "data": None},
        {"keys": {"account_id": 7, "task_id": "t"}, "data": {}, "id": "x"},
        {"keys": {"account_id": 7.0}, "data": 1},
        {"keys": {"account_id": 7.5}, "data": 1},
        {"keys": {"account_id": True}, "data": 1},
        {"keys": {"account_id": 10**128 - 1}, "data": 1},
        {"keys": {"account_id": 10**128}, "data": 1},
        {"keys": {"account_id": 1 - 10**127}, "data": 1},
        {"keys": {"account_id": -(10**127)}, "data": 1},
        {"keys": {"account_id": ".."}, "data": 1},
        {"keys": {"account_id": "a/b"}, "data": 1},
        {"keys": {"account_id": "a\n"}, "data": 1},
        {"keys": {"account_id": ""}, "data": 1},
        {"keys": {}, "data": 1},
        {"keys": {"other": "a"}, "data": 1},
        {"keys": {"account_id": "a"}},
        {"keys": {"account_id": "a"}, "data": 1, "extra": 1},
        {"keys": {"account_id": "a"}, "data": 1, "id": ""},
        {"keys": {"account_id": "a"}, "data": 1, "id": "x" * 200},
        {"keys": {"account_id": "a"}, "data": 1, "id": "x" * 201},
        {"keys": {"account_id": "a"}, "data": 1, "id": "\u00fc"},
        {"keys": {"task_id": "t"}, "data": 1, "task": {"run": "", "retries": 0, "state": "STARTED"}},
        {"keys": {"task_id": "t"}, "data": 1, "task": {"run": "", "retries": -1, "state": "STARTED"}},
        {"keys": {"task_id": "t"}, "data": 1, "task": {"run": "", "retries": 2**31, "state": "STARTED"}},
        {"keys": {"task_id": "t"}, "data": 1, "task": {"run": "r" * 201, "retries": 0, "state": "STARTED"}},
        {"keys": {"account_id": "a"}, "data": 1, "task": {"run": "", "retries": 0, "state": "STARTED"}},
        {"keys": {"account_id": "a"}, "data": 1, "task": None},
    ],
)
def test_a_webhook_is_valid_exactly_if_it_is_taken(webhook: dict[str, Any]) -> None:
    line = json.dumps(webhook).encode()
    assert valid("Webhook", json.loads(line)) is not refused(lambda: draft_of(parse_webhook(line), "drawn"))


@pytest.mark.parametrize(
    ("keys", "url"),
    [
        ({"account_id": 7}, "https://app.example/hooks?x=y"),
        ({"account_id": 7}, "HTTP://[2001:db8::1]:8080/"),
        ({"account_id": 7}, "http://[2001:db8:::1]/"),
        ({"account_id": 7}, "http://[::1"),
        ({"account_id": 7}, "http://a:0"),
        ({"account_id": 7}, "http://a:65535"),
        ({"account_id": 7}, "http://a:65536"),
        ({"account_id": 7}, "http://user@a/"),
        ({"account_id": 7}, "http://a/#top"),
        ({"account_id": 7}, "http://a b/"),
        ({"account_id": 7}, "http://a/" + "x" * 2040),
        ({}, "http://a/"),
        ({"Account": 7}, "http://a/"),
        ({f"k{'a' * number}": 7 for number in range(8)}, "http://a/"),
        ({"k" * (number + 1): 7 for number in range(8)}, "http://a/"),
        ({"k" * (number + 1): 7 for number in range(9)}, "http://a/"),
    ],
)
def test_a_registration_is_valid_exactly_if_it_is_taken(keys: dict[str, Any], url: str) -> None:
    registration = {"keys": keys, "url": url}
    assert set(registration) <= set(Registration.__struct_fields__)
    assert valid("Registration", registration) is not refused(hook_of, keys, url)


@pytest.mark.parametrize(
    "name", ["a", "a/b", "accounts/7", "a/../b", "./a", "...", "a//b", "/a", "a/", "", "x" * 255, "x" * 256, "a b", "ä"]
)
def test_a_channel_is_valid_exactly_if_it_is_taken(name: str) -> None:
    schema = jsonschema_rs.Draft202012Validator(CHANNEL)
    assert schema.is_valid(name) is not refused(channel_name, name)


@pytest.mark.parametrize("text", ["0", "e1-7", "e1-", "-7", "e1-7x", "1", "e1.2-0", "a" * 64 + "-1", "a" * 65 + "-1"])
def test_a_position_is_valid_exactly_if_it_is_taken(text: str) -> None:
    schema = jsonschema_rs.Draft202012Validator(POSITION)
    assert schema.is_valid(text) is not refused(Position.parse, text)


@pytest.mark.parametrize(
    ("line", "good"),
    [
        ({"position": "0"}, True),
        ({"position": "e1-1", "data": None}, True),
        ({"gap": {"from": "e1-1", "to": "e1-2"}}, True),
        ({"gap": {"from": "e1-1"}}, False),
        ({"data": 1}, False),
        ({"position": "e1-1", "gap": {"from": "e1-1", "to": "e1-2"}}, False),
    ],
)
def test_a_line_is_a_publication_a_place_or_a_gap(line: dict[str, Any], good: bool) -> None:
    assert valid("Line", line) is good
