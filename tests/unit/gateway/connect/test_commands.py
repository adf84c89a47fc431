import json

import pytest
from websockets.frames import Opcode
from websockets.protocol import CLIENT, Protocol

from gateway.connect.commands import (
    MOST_DETAIL,
    MOST_ID,
    Ping,
    Presence,
    Publish,
    Subscribe,
    Unsubscribe,
    answer,
    id_of,
    read_command,
    refusal,
)
from skyhooks.errors import Refused


def told(frame: bytes) -> dict:
    protocol = Protocol(CLIENT)
    protocol.receive_data(frame)
    (event,) = protocol.events_received()
    assert event.opcode is Opcode.TEXT
    return json.loads(event.data)


@pytest.mark.parametrize(
    ("message", "command"),
    [
        ('{"type":"subscribe","id":1,"channel":"a"}', Subscribe(id=1, channel="a")),
        ('{"id":"x","channel":"a","since":"e-1","type":"subscribe"}', Subscribe(id="x", channel="a", since="e-1")),
        ('{"type":"unsubscribe","id":0,"channel":"a"}', Unsubscribe(id=0, channel="a")),
        (f'{{"type":"presence","id":{MOST_ID},"channel":"a"}}', Presence(id=MOST_ID, channel="a")),
        ('{"type":"ping","id":""}', Ping(id="")),
    ],
)
def test_a_command_is_one_object_with_a_type_and_an_id(message: str, command: object) -> None:
    assert read_command(message) == command


def test_what_is_published_is_kept_as_it_was_written() -> None:
    command = read_command('{"type":"publish","id":1,"channel":"a","data":{"n": 1.50},"key":"k"}')
    assert isinstance(command, Publish)
    assert (bytes(command.data), command.key) == (b'{"n": 1.50}', "k")


@pytest.mark.parametrize(
    ("message", "code", "command_id"),
    [
        ("", "bad_json", None),
        ("{", "bad_json", None),
        ('{"type":"ping","id":1} x', "bad_json", None),
        ('{"type":"publish","id":1,"channel":"a","data":' + "[" * 60_000, "bad_json", None),
        ("[]", "bad_command", None),
        ("{}", "bad_command", None),
        ('{"type":"ping"}', "bad_command", None),
        ('{"type":"dance","id":7}', "bad_command", 7),
        ('{"type":"ping","id":7,"more":1}', "bad_command", 7),
        ('{"type":"subscribe","id":"s"}', "bad_command", "s"),
        ('{"type":"subscribe","id":1,"channel":5}', "bad_command", 1),
        ('{"type":"publish","id":1,"channel":"a"}', "bad_command", 1),
        ('{"type":"ping","id":-1}', "bad_command", None),
        ('{"type":"ping","id":true}', "bad_command", None),
        (f'{{"type":"ping","id":{MOST_ID + 1}}}', "bad_command", None),
        (f'{{"type":"ping","id":"{"x" * 65}"}}', "bad_command", None),
    ],
)
def test_what_is_no_command_is_refused_under_its_id(message: str, code: str, command_id: int | str | None) -> None:
    with pytest.raises(Refused) as refused:
        read_command(message)
    assert refused.value.code == code
    if code == "bad_command":
        assert id_of(message) == command_id


def test_a_refusal_does_not_quote_a_long_message_back() -> None:
    with pytest.raises(Refused) as refused:
        read_command(f'{{"type":"{"x" * 60_000}","id":1}}')
    assert len(refused.value.detail) == MOST_DETAIL


def test_answers_carry_the_id() -> None:
    assert told(answer("s", {"channel": "a"})) == {"id": "s", "ok": {"channel": "a"}}
    assert told(refusal(None, Refused("bad_json", "no", 400))) == {
        "id": None,
        "error": {
            "type": "urn:skyhooks:problem:bad_json",
            "title": "bad json",
            "status": 400,
            "code": "bad_json",
            "detail": "no",
        },
    }
