"""What is a request, what is refused, and that the way the bytes are cut makes no difference."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.parser import Message, Parser, Phase
from gateway.edge.settings import EdgeSettings
from skyhooks.errors import Refused

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


def parse(*pieces: bytes, **settings: Any) -> list[Message]:
    parser = Parser(EdgeSettings(**settings))
    messages = []
    for piece in pieces:
        parser.feed(piece)
        while message := parser.next():
            messages.append(message)
    return messages


def refusal(data: bytes, **settings: Any) -> Refused:
    parser = Parser(EdgeSettings(**settings))
    parser.feed(data)
    with pytest.raises(Refused) as caught:
        list(iter(parser.next, None))
    assert parser.phase is Phase.OVER
    assert parser.next() is None
    return caught.value


def test_a_request_keeps_its_parts() -> None:
    (message,) = parse(b"PUT /a%20b?c=d HTTP/1.1\r\nHost: x:1\r\nX-A:  b \r\nX-A: c\r\nContent-Length: 3\r\n\r\nabc")
    assert (message.method, message.target, message.body) == ("PUT", "/a%20b?c=d", b"abc")
    assert message.field("x-a") == "b, c"
    assert message.http11
    assert message.keep_alive


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n", False),
        (b"GET / HTTP/1.0\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_the_version_and_connection_say_whether_another_may_follow(head: bytes, keep_alive: bool) -> None:
    (message,) = parse(head + b"\r\n")
    assert message.keep_alive is keep_alive


@pytest.mark.parametrize(
    "body",
    [
        b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        b"3;name=value\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n0\r\nX-Trailer: y\r\n\r\n",
        b"003\r\nabc\r\n000\r\n\r\n",
    ],
)
def test_chunks_are_joined_and_trailers_dropped(body: bytes) -> None:
    (message,) = parse(CHUNKED + body)
    assert message.body == b"abc"
    assert message.field("x-trailer") == ""


def test_a_blank_line_inside_a_body_ends_nothing() -> None:
    body = b"a\r\n\r\nb\r\n\r\n"
    (one, two) = parse(CHUNKED + b"a\r\n" + body + b"\r\n0\r\n\r\n" + POST + b"Content-Length: 10\r\n\r\n" + body)
    assert one.body == two.body == body


def test_blank_lines_before_a_request_are_skipped() -> None:
    assert len(parse(b"\r\n\r\n" + GET + b"\r\n\r\n" + GET + b"\r\n")) == 2


SMUGGLING = {
    "bare LF after the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "bare LF after a header": b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
    "bare LF as the blank line": GET + b"\n",
    "bare CR in a value": GET + b"X: a\rb\r\n\r\n",
    "folded header": GET + b"X: a\r\n b\r\n\r\n",
    "space before the first header": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "space before the colon": GET + b"X : a\r\n\r\n",
    "no colon": GET + b"X\r\n\r\n",
    "empty name": GET + b": a\r\n\r\n",
    "NUL in a value": GET + b"X: a\0b\r\n\r\n",
    "control character in a value": GET + b"X: a\x01b\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": GET + b"Host: a\r\n\r\n",
    "two Hosts on 1.0": b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    "two hosts in one": b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
    "Host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "Host with a broken escape": b"GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n",
    "Host with a user": b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "target with a space": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "target with a byte above 127": b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    "target with a fragment": b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "target with a user": b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "length with a sign": POST + b"Content-Length: +1\r\n\r\na",
    "negative length": POST + b"Content-Length: -1\r\n\r\na",
    "hexadecimal length": POST + b"Content-Length: 0x1\r\n\r\na",
    "empty length": POST + b"Content-Length: \r\n\r\n",
    "length with a space": POST + b"Content-Length: 1 1\r\n\r\na",
    "length list": POST + b"Content-Length: 1, 1\r\n\r\na",
    "length twice, equal": POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "length twice, different": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length out of range": POST + b"Content-Length: 99999999999999999999999\r\n\r\na",
    "length, then chunked": POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, then length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked behind a vertical tab": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "empty coding": POST + b"Transfer-Encoding: \r\n\r\n0\r\n\r\n",
    "chunked on 1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "length among the trailers": CHUNKED + b"1\r\na\r\n0\r\nContent-Length: 4\r\n\r\n",
    "chunk size that is no number": CHUNKED + b"zz\r\n\r\n",
    "chunk size with 0x": CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
    "chunk size with a sign": CHUNKED + b"-1\r\na\r\n0\r\n\r\n",
    "chunk size with a space": CHUNKED + b"1 \r\na\r\n0\r\n\r\n",
    "empty chunk size": CHUNKED + b"\r\na\r\n0\r\n\r\n",
    "chunk size out of range": CHUNKED + b"fffffffffffffffff1\r\na\r\n0\r\n\r\n",
    "bare LF after a chunk size": CHUNKED + b"1\na\r\n0\r\n\r\n",
    "bare LF in a chunk extension": CHUNKED + b"1;a=b\nx\r\na\r\n0\r\n\r\n",
    "chunk longer than it says": CHUNKED + b"1\r\nab\r\n0\r\n\r\n",
    "handshake with a body": GET + UPGRADE + b"Content-Length: 1\r\n\r\na",
    "handshake with chunks": GET + UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("data", SMUGGLING.values(), ids=SMUGGLING.keys())
def test_what_two_readers_could_read_differently_is_refused(data: bytes) -> None:
    assert refusal(data + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n").status == 400


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method_unknown"),
        (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method_unknown"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501, "method_unknown"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "http_version"),
        (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505, "http_version"),
        (b"\x16\x03\x01\x02\x00\x01", 501, "method_unknown"),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "bad_transfer_encoding"),
        (POST + b"Expect: miracles\r\nContent-Length: 1\r\n\r\n", 417, "expectation_failed"),
        (POST + b"Content-Length: 11\r\n\r\n", 413, "body_too_large"),
        (CHUNKED + b"6\r\nabcdef\r\n6\r\nabcde", 413, "body_too_large"),
        (CHUNKED + b"1;" + b"e" * 300, 413, "body_too_large"),
        (CHUNKED + b"1\r\na\r\n" * 10 + b"0\r\nX: " + b"y" * 300, 413, "body_too_large"),
        (CHUNKED + b"0\r\n" + b"X: y\r\n" * 8, 431, "header_too_large"),
        (b"GET /" + b"a" * 60 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "url_too_long"),
        (GET + b"X: y\r\n" * 6 + b"\r\n", 431, "header_too_large"),
        (GET + b"X: " + b"y" * 300, 431, "header_too_large"),
        (GET + b"X:" + b" " * 300, 431, "header_too_large"),
        (b"\r\n" * 300, 431, "header_too_large"),
        (b"GET /\r\n\r\n", 505, "http_version"),
        (b"GET / FTP/1.1\r\n\r\n", 400, "bad_request"),
    ],
)
def test_each_limit_has_its_status_and_code(data: bytes, status: int, code: str) -> None:
    error = refusal(data, body_bytes=10, url_bytes=50, header_count=6, header_bytes=200)
    assert (error.status, error.code) == (status, code)


@pytest.mark.parametrize("before", [b"", GET + b"\r\n", CHUNKED + b"1\r\na\r\n0\r\n\r\n"])
@pytest.mark.parametrize("cut", [0, 1, 30, 63, 64])
def test_header_bytes_are_counted_exactly(before: bytes, cut: int) -> None:
    head = GET + b"X: ".ljust(64 - len(GET) - 4, b"y") + b"\r\n\r\n"
    assert len(head) == 64
    assert len(parse(before + head[:cut], head[cut:], header_bytes=64 + len(CHUNKED))) == 1 + bool(before)
    if not before:
        assert len(parse(head[:cut], head[cut:], header_bytes=64)) == 1
        with pytest.raises(Refused, match="header_too_large"):
            parse(head[:cut], head[cut:], header_bytes=63)


def test_a_body_may_be_as_long_as_the_limit() -> None:
    assert parse(POST + b"Content-Length: 10\r\n\r\n0123456789", body_bytes=10)[0].body == b"0123456789"
    assert parse(CHUNKED + b"a\r\n0123456789\r\n0\r\n\r\n", body_bytes=10)[0].body == b"0123456789"


def test_an_absolute_target_names_the_host() -> None:
    (message,) = parse(b"GET http://real:8/a?b HTTP/1.1\r\nHost: other\r\n\r\n")
    assert message.target == "/a?b"
    assert message.field("host") == "real:8"


def test_what_follows_a_request_waits_until_it_is_asked_for() -> None:
    parser = Parser(EdgeSettings())
    parser.feed((GET + b"\r\n") * 1000)
    assert parser.next() is not None
    assert parser.pending
    assert sum(1 for _ in iter(parser.next, None)) == 999
    assert not parser.pending


def test_nothing_follows_a_closing_request() -> None:
    assert len(parse(GET + b"Connection: close\r\n\r\n" + GET + b"\r\n")) == 1


def test_a_client_that_waits_for_leave_to_send_is_noticed() -> None:
    parser = Parser(EdgeSettings())
    parser.feed(POST + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert parser.next() is None
    assert parser.wants_continue
    parser.feed(b"a")
    assert parser.next() is not None
    assert not parser.wants_continue


@pytest.mark.parametrize(
    "head",
    [
        POST + b"Expect: 100-continue\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
    ],
)
def test_who_has_no_body_or_no_such_protocol_does_not_wait(head: bytes) -> None:
    parser = Parser(EdgeSettings())
    parser.feed(head)
    parser.next()
    assert not parser.wants_continue


def test_a_handshake_leaves_the_bytes_behind_it() -> None:
    parser = Parser(EdgeSettings())
    parser.feed(GET + UPGRADE + b"\r\n\x81\x80")
    message = parser.next()
    assert message is not None
    assert message.websocket
    parser.feed(b"\x00\x00\x00\x00")
    assert parser.next() is None
    assert parser.rest() == b"\x81\x80\x00\x00\x00\x00"


@pytest.mark.parametrize("protocol", [b"h2c", b"TLS/1.0", b"websocket2"])
@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize(
    "body", [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
)
def test_another_upgrade_is_ignored_and_its_body_kept(protocol: bytes, method: bytes, body: bytes) -> None:
    head = method + b" / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: " + protocol + b"\r\n"
    one, two = parse(head + body + GET + b"\r\n")
    assert (one.method, one.body, one.websocket) == (method.decode(), b"abc", False)
    assert one.field("upgrade") == protocol.decode()
    assert two.method == "GET"


def test_a_handshake_by_another_method_or_version_is_an_ordinary_request() -> None:
    (posted,) = parse(POST + UPGRADE + b"Content-Length: 3\r\n\r\nabc")
    assert (posted.websocket, posted.body) == (False, b"abc")
    (old,) = parse(b"GET / HTTP/1.0\r\n" + UPGRADE + b"\r\n")
    assert not old.websocket


@pytest.mark.parametrize("data", [POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 11\r\n\r\n"])
def test_an_ignored_upgrade_is_held_to_the_same_limits(data: bytes) -> None:
    assert refusal(data, body_bytes=10).code == "body_too_large"


BODIES = st.binary(max_size=40) | st.sampled_from([b"\r\n\r\n", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, bytes, bytes]:
    """Wire form, path and body of one request."""
    path = b"/" + draw(st.text("abc%20/", max_size=10)).encode()
    extra = draw(st.sampled_from([b"", b"X-A: b\r\n", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"]))
    body = draw(BODIES)
    head = b"POST " + path + b" HTTP/1.1\r\nHost: a\r\n" + extra
    if draw(st.booleans()):
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body, path, body
    size = draw(st.integers(1, 20))
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n", path, body


@given(st.lists(requests(), min_size=1, max_size=5), st.data())
def test_the_way_the_bytes_are_cut_makes_no_difference(
    sent: list[tuple[bytes, bytes, bytes]], data: st.DataObject
) -> None:
    wire = b"".join(raw for raw, _, _ in sent)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(wire)), max_size=12)))
    pieces = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    messages = parse(*pieces)
    assert [(message.target.encode(), message.body) for message in messages] == [(path, body) for _, path, body in sent]


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: POST + tail))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    parser = Parser(EdgeSettings())
    parser.feed(data)
    try:
        while parser.next():
            pass
    except Refused:
        assert parser.phase is Phase.OVER
