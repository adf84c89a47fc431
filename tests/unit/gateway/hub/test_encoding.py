import json

import pytest
from websockets.frames import Opcode
from websockets.protocol import CLIENT, Protocol

from gateway.hub.encoding import CHUNKED, EVENTS, STREAM, STREAM_RAW, WEBSOCKET, WEBSOCKET_RAW, Named
from skyhooks.publication import START, Position

HERE = Position("e1", 7)


def text_of(frame: bytes) -> str:
    """What a client's parser makes of a server's frame."""
    protocol = Protocol(CLIENT)
    protocol.receive_data(frame)
    (event,) = protocol.events_received()
    assert event.opcode is Opcode.TEXT
    return event.data.decode()


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_websocket_publication_is_one_text_frame_with_position_and_data(size: int) -> None:
    data = json.dumps("x" * size).encode()
    message = json.loads(text_of(WEBSOCKET.publication(HERE, data)))
    assert message == {"position": "e1-7", "data": "x" * size}


def test_a_stream_publication_is_one_line() -> None:
    assert STREAM.publication(HERE, b'{"a":1}') == b'{"position":"e1-7","data":{"a":1}}\n'


def test_an_event_carries_its_position_as_id() -> None:
    assert EVENTS.publication(HERE, b'{"a":1}') == b'id: e1-7\ndata: {"a":1}\n\n'


def test_the_first_event_carries_only_an_id() -> None:
    assert EVENTS.hello(HERE) == b"id: e1-7\n\n"
    assert EVENTS.hello(START) == b"id: 0\n\n"


def test_a_gap_says_from_where_to_where_and_an_event_resumes_behind_it() -> None:
    gap = {"from": "e1-7", "to": "e1-9"}
    assert json.loads(STREAM.gap(HERE, Position("e1", 9))) == {"gap": gap}
    assert json.loads(text_of(WEBSOCKET.gap(HERE, Position("e1", 9)))) == {"gap": gap}
    name, event_id, data = EVENTS.gap(HERE, Position("e1", 9)).decode().splitlines()[:3]
    assert (name, event_id) == ("event: gap", "id: e1-9")
    assert json.loads(data.removeprefix("data: ")) == gap


def test_raw_forms_carry_the_bare_data_and_nothing_else() -> None:
    assert STREAM_RAW.publication(HERE, b"[1]") == b"[1]\n"
    assert text_of(WEBSOCKET_RAW.publication(HERE, b"[1]")) == "[1]"
    for raw in (STREAM_RAW, WEBSOCKET_RAW):
        assert raw.hello(HERE) == b""
        assert raw.gap(HERE, HERE) == b""


def test_chunked_forms_frame_each_notice_and_never_end_the_body() -> None:
    assert CHUNKED[EVENTS].hello(HERE) == b"a\r\nid: e1-7\n\n\r\n"
    assert CHUNKED[STREAM_RAW].publication(HERE, b"[1]") == b"4\r\n[1]\n\r\n"
    assert CHUNKED[STREAM_RAW].hello(HERE) == b""
    assert CHUNKED[EVENTS].keepalive == b"3\r\n:\n\n\r\n"


def test_one_channel_among_others_says_its_name_in_each_message() -> None:
    named = Named("accounts/a")
    assert json.loads(text_of(named.hello(HERE))) == {"channel": "accounts/a", "position": "e1-7"}
    assert json.loads(text_of(named.publication(HERE, b"[1]"))) == {
        "channel": "accounts/a",
        "position": "e1-7",
        "data": [1],
    }
    assert json.loads(text_of(named.gap(START, HERE))) == {"channel": "accounts/a", "gap": {"from": "0", "to": "e1-7"}}
    assert json.loads(text_of(named.ended(1012, 'say "so"'))) == {
        "channel": "accounts/a",
        "ended": {"code": 1012, "reason": 'say "so"'},
    }


def test_those_who_follow_a_channel_by_name_share_its_encoding() -> None:
    assert len({Named("a"), Named("a"), Named("b")}) == 2
    assert Named("a") != WEBSOCKET
