from email.utils import parsedate_to_datetime

import pytest

from gateway.edge.head import Date, connection_line, encode_response, header_lines, status_line
from gateway.edge.request import Response


def encode(response: Response, method: str = "GET", keep_alive: bool = True, http11: bool = True) -> bytes:
    return encode_response(response, method, keep_alive, http11, Date())


def test_a_response_has_its_length_and_a_date() -> None:
    head, _, body = encode(Response(body=b"hello", headers={"X-A": "b"})).partition(b"\r\n\r\n")
    line, *headers = head.split(b"\r\n")
    assert line == b"HTTP/1.1 200 OK"
    assert body == b"hello"
    assert b"X-A: b" in headers
    assert b"Content-Length: 5" in headers
    (date,) = (header for header in headers if header.startswith(b"Date: "))
    assert parsedate_to_datetime(date.decode().removeprefix("Date: ")).utcoffset() is not None


def test_head_says_the_length_and_sends_no_body() -> None:
    data = encode(Response(body=b"hello"), method="HEAD")
    assert b"Content-Length: 5\r\n" in data
    assert data.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_content_has_no_length(status: int) -> None:
    data = encode(Response(status=status, body=b"ignored"))
    assert b"Content-Length" not in data
    assert data.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("name", ["Connection", "content-length", "Transfer-Encoding", "DATE"])
def test_headers_of_the_connection_are_the_edges_own(name: str) -> None:
    assert b": mine" not in encode(Response(headers={name: "mine"}))


@pytest.mark.parametrize(
    "header",
    [("X", "a\r\nY: b"), ("X", "a\nb"), ("X", "a\rb"), ("X", "a\x00b"), ("X\r\nY", "a"), ("X Y", "a"), ("", "a")],
)
def test_a_header_cannot_break_out_of_its_line(header: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="header"):
        header_lines([header])


def test_a_phrase_cannot_break_out_of_its_line() -> None:
    with pytest.raises(ValueError, match="one line"):
        status_line(200, "OK\r\nX: y")


def test_an_unknown_status_is_sent_as_it_is() -> None:
    assert status_line(299) == b"HTTP/1.1 299 \r\n"
    assert status_line(299, "Fine") == b"HTTP/1.1 299 Fine\r\n"


@pytest.mark.parametrize(
    ("keep_alive", "http11", "upgrade", "line"),
    [
        (True, True, False, b""),
        (True, False, False, b"Connection: keep-alive\r\n"),
        (False, True, False, b"Connection: close\r\n"),
        (False, False, False, b"Connection: close\r\n"),
        (False, True, True, b"Connection: close, Upgrade\r\n"),
        (True, True, True, b"Connection: Upgrade\r\n"),
    ],
)
def test_what_the_version_does_not_say_is_said(keep_alive: bool, http11: bool, upgrade: bool, line: bytes) -> None:
    assert connection_line(keep_alive, http11, upgrade) == line
