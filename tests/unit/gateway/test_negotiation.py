import pytest

from gateway.edge.request import Request
from gateway.hub.encoding import EVENTS, STREAM, STREAM_RAW, WEBSOCKET, WEBSOCKET_RAW, Encoding
from gateway.hub.tail import PAGE, PAGE_RAW, PARTS, PARTS_RAW
from gateway.negotiation import HTTP11, encoding_of, since_of
from skyhooks.errors import Refused
from skyhooks.publication import START, Position

SEEN = {"last-event-id": "e1-7"}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


def request(query: dict[str, str] | None = None, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method="GET", path="/channels/a", query=query or {}, headers=named, body=b"", remote="")


@pytest.mark.parametrize(
    ("query", "headers", "encoding"),
    [
        ({}, {}, STREAM),
        ({}, {"accept": "*/*"}, STREAM),
        ({}, {"accept": BROWSER}, STREAM),
        ({"raw": ""}, {}, STREAM_RAW),
        ({"raw": "true"}, {}, STREAM_RAW),
        ({"raw": "false"}, {}, STREAM),
        ({}, {"accept": "text/event-stream"}, EVENTS),
        ({}, {"accept": "TEXT/Event-Stream;q=0.5, */*"}, EVENTS),
        ({}, {"accept": "application/json, text/event-stream"}, EVENTS),
        ({}, {"accept": "text/event-stream;q=0"}, STREAM),
        ({}, {"accept": "text/event-stream; q=0.000"}, STREAM),
        ({}, {"accept": "text/event-streams"}, STREAM),
        ({"raw": "false"}, {"accept": "text/event-stream"}, EVENTS),
        ({}, {"upgrade": "WebSocket"}, WEBSOCKET),
        ({"raw": ""}, {"upgrade": "websocket"}, WEBSOCKET_RAW),
        ({}, {"upgrade": "websocket", "accept": "text/event-stream"}, WEBSOCKET),
        ({"view": "tail"}, {}, PAGE),
        ({"view": "tail"}, {"accept": BROWSER}, PAGE),
        ({"view": "tail"}, {"accept": "text/event-stream"}, PAGE),
        ({"view": "tail"}, {"accept": "multipart/x-mixed-replace"}, PARTS),
        ({"view": "tail"}, {"accept": f"{BROWSER},multipart/x-mixed-replace"}, PARTS),
        ({"view": "tail"}, {"accept": "multipart/x-mixed-replace;q=0.0"}, PAGE),
        ({"view": "tail", "raw": ""}, {}, PAGE_RAW),
        ({"view": "tail", "raw": ""}, {"accept": "multipart/x-mixed-replace"}, PARTS_RAW),
    ],
)
def test_a_subscriber_gets_what_it_asks_for(query: dict[str, str], headers: dict[str, str], encoding: Encoding) -> None:
    assert encoding_of(request(query, **headers)) is encoding


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ({"raw": "yes"}, {}),
        ({"raw": ""}, {"accept": "text/event-stream"}),
        ({"view": ""}, {}),
        ({"view": "Tail"}, {}),
        ({"view": "tail"}, {"upgrade": "websocket"}),
    ],
)
def test_what_does_not_go_together_is_refused(query: dict[str, str], headers: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        encoding_of(request(query, **headers))
    assert refused.value.code == "bad_query"


@pytest.mark.parametrize(
    ("query", "headers", "encoding", "since"),
    [
        ({}, {}, STREAM, None),
        ({"since": ""}, {}, STREAM, None),
        ({"since": "0"}, {}, STREAM, START),
        ({"since": "e1-3"}, SEEN, STREAM, Position("e1", 3)),
        ({"since": "e1-3"}, SEEN, EVENTS, Position("e1", 7)),
        ({"since": "e1-3"}, {"last-event-id": ""}, EVENTS, Position("e1", 3)),
        ({}, SEEN, EVENTS, Position("e1", 7)),
    ],
)
def test_what_a_browser_saw_last_counts_for_events_only(
    query: dict[str, str], headers: dict[str, str], encoding: Encoding, since: Position | None
) -> None:
    assert since_of(request(query, **headers), encoding) == since


@pytest.mark.parametrize("encoding", [STREAM, EVENTS, PAGE])
@pytest.mark.parametrize(("query", "headers"), [({"since": "x"}, {}), ({}, {"last-event-id": "x"})])
def test_a_position_that_is_none_is_refused(query: dict[str, str], headers: dict[str, str], encoding: Encoding) -> None:
    with pytest.raises(Refused) as refused:
        since_of(request(query, **headers), encoding)
    assert refused.value.code == "bad_position"


def test_everything_but_a_websocket_has_a_chunked_form() -> None:
    assert set(HTTP11) == {STREAM, STREAM_RAW, EVENTS, PAGE, PAGE_RAW, PARTS, PARTS_RAW}
