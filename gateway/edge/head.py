"""Response heads as bytes: status line, headers that cannot break out of their line, Date once a second."""

import re
import time
from collections.abc import Iterable
from email.utils import formatdate
from http.client import responses
from typing import Final

from gateway.edge.request import Response

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

EDGE_HEADERS: Final = frozenset({"connection", "content-length", "date", "transfer-encoding"})
"""Headers that describe the connection: a handler's own are left out."""

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BREAK: Final = re.compile(r"[\r\n\x00]")
_STATUS_LINES: Final = {code: f"HTTP/1.1 {code} {phrase}\r\n".encode() for code, phrase in responses.items()}


class Date:
    """The Date header's line, made once a second (RFC 9110 section 6.6.1)."""

    __slots__ = ("_line", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def line(self) -> bytes:
        """``Date: …`` for now, with its line end."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = b"Date: " + formatdate(second, usegmt=True).encode() + b"\r\n"
        return self._line


def status_line(status: int, phrase: str = "") -> bytes:
    """The first line of a response, with its line end. Raises `ValueError` for a phrase that would break the line."""
    if not phrase and status in _STATUS_LINES:
        return _STATUS_LINES[status]
    if _BREAK.search(phrase):
        raise ValueError(f"a status phrase is one line; got {phrase[:80]!r}")
    return f"HTTP/1.1 {status} {phrase}\r\n".encode("latin-1")


def header_lines(headers: Iterable[tuple[str, str]]) -> bytes:
    """Headers, each with its line end. Raises `ValueError` for a name or value that is not one (RFC 9110 section 5)."""
    lines = []
    for name, value in headers:
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a header name: {name[:80]!r}")
        if _BREAK.search(value):
            raise ValueError(f"the header {name} would break its line: {value[:80]!r}")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")


def connection_line(keep_alive: bool, http11: bool, upgrade: bool = False) -> bytes:
    """What happens to the connection, where the version's default does not say it (RFC 9112 section 9.3)."""
    if upgrade:
        return b"Connection: Upgrade\r\n" if keep_alive else b"Connection: close, Upgrade\r\n"
    if keep_alive:
        return b"" if http11 else b"Connection: keep-alive\r\n"
    return b"Connection: close\r\n"


def has_body(method: str, status: int) -> bool:
    """Whether a response to `method` with `status` carries content (RFC 9110 section 6.4.1)."""
    return method != "HEAD" and status >= 200 and status not in (204, 304)


def encode_response(response: Response, method: str, keep_alive: bool, http11: bool, date: Date) -> bytes:
    """A whole response. Raises `ValueError` for headers that cannot be sent."""
    given = [(name, value) for name, value in response.headers.items() if name.lower() not in EDGE_HEADERS]
    upgrade = "Upgrade" in response.headers
    parts = [
        status_line(response.status),
        header_lines(given),
        date.line(),
        connection_line(keep_alive, http11, upgrade),
    ]
    # The length that GET would have said may be left out (RFC 9110 section 9.3.2), but must not be another one.
    if has_body("GET", response.status) and (response.body or method != "HEAD"):
        parts.append(b"Content-Length: %d\r\n" % len(response.body))
    parts.append(b"\r\n")
    if has_body(method, response.status):
        parts.append(response.body)
    return b"".join(parts)
