"""HTTP/1 requests out of bytes, without I/O (RFC 9112). httptools does the grammar; what it leaves open is decided
here.

Bytes are fed in pieces that end where a head or a body can end: at the first blank line, or at what Content-Length
leaves. So one piece completes at most one message, header bytes are counted exactly, and what follows stays unread
until it is asked for, which bounds a pipeline. Nothing is guessed: whatever two readers of the same bytes could
understand differently is refused.
"""

import enum
import re
from typing import Any, Final

import httptools
import msgspec

from gateway.edge.settings import EdgeSettings
from gateway.edge.target import origin_form
from skyhooks.errors import Refused

BLANK_LINE: Final = b"\r\n\r\n"
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})*)(:[0-9]*)?")
_TOKENS: Final = re.compile(r"[,\s]+")
_TUNNELS: Final = frozenset({"CONNECT", "PRI"})


class Phase(enum.Enum):
    """Where in a request the next byte falls."""

    IDLE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    OVER = enum.auto()  # an error, a closing request or an upgrade: no further request comes on this connection


class Message(msgspec.Struct, kw_only=True):
    """One request as it came: `fields` in order with lower-case names, `target` still encoded, in origin form."""

    method: str
    target: str
    fields: list[tuple[str, str]]
    http11: bool
    keep_alive: bool
    websocket: bool = False
    body: bytes = b""

    def field(self, name: str) -> str:
        """The value of a header, several joined by a comma (RFC 9110 section 5.3); empty when there is none."""
        return ", ".join(value for key, value in self.fields if key == name)


class Parser:
    """Takes bytes with `feed`, gives requests with `next`."""

    def __init__(self, settings: EdgeSettings) -> None:
        self._settings = settings
        self._http: Any = httptools.HttpRequestParser(self)  # None once over: the two refer to each other
        self._data: bytes = b""
        self._at = 0
        self._tail = b""
        self._done: Message | None = None
        self.phase = Phase.IDLE
        self.wants_continue = False
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._fields: list[tuple[str, str]] = []
        self._message: Message | None = None
        self._head_bytes = 0
        self._length: int | None = None  # what Content-Length leaves to come; None means chunked
        self._chunks: list[bytes] = []
        self._body_bytes = 0
        self._wire_bytes = 0
        self._upgrade = False
        self._replaying = False

    # -- bytes in, requests out

    @property
    def pending(self) -> bool:
        """Whether there are bytes that `next` has not looked at."""
        return self._at < len(self._data)

    def feed(self, data: bytes) -> None:
        """Add bytes from the connection."""
        self._data = self._data[self._at :] + data if self.pending else data
        self._at = 0

    def next(self) -> Message | None:
        """The next whole request, or None when more bytes are needed.

        Raises `Refused` once; the phase is then `Phase.OVER`.
        """
        while self.pending and self.phase is not Phase.OVER:
            piece = self._piece()
            try:
                self._execute(piece)
            except Refused:
                self.phase = Phase.OVER
                raise
            if self._done is not None:
                message, self._done = self._done, None
                return message
        return None

    def rest(self) -> bytes:
        """The bytes behind an upgrade, which are not HTTP. Lets go of everything that was parsed."""
        data, self._data, self._at = self._data[self._at :], b"", 0
        self.phase = Phase.OVER
        self._http = None
        return data

    # -- pieces

    def _piece(self) -> bytes | memoryview:
        """The next bytes that cannot reach beyond the end of the current message."""
        start, size = self._at, len(self._data)
        if self.phase is Phase.BODY and self._length is not None:
            end = min(size, start + self._length)
            self._length -= end - start
        else:
            end = self._blank_line(start)
        if self.phase is not Phase.BODY:
            self.phase = Phase.HEAD
            end = min(end, start + self._settings.header_bytes + 1)
            self._head_bytes += end - start
        else:
            self._wire_bytes += end - start
        self._at = end
        return self._data if end - start == size else memoryview(self._data)[start:end]

    def _blank_line(self, start: int) -> int:
        """Where the first blank line from `start` ends, or the end of the data; it may have begun in an earlier
        piece.
        """
        data, tail = self._data, self._tail
        found = (tail + data[start : start + 3]).find(BLANK_LINE) if tail else -1
        end = start + found + 4 - len(tail) if found >= 0 else -1
        if end < 0:
            found = data.find(BLANK_LINE, start)
            end = found + 4 if found >= 0 else -1
        if end >= 0:
            self._tail = b""
            return end
        self._tail = (tail + data[max(start, len(data) - 3) :])[-3:]
        return len(data)

    def _execute(self, piece: bytes | memoryview) -> None:
        try:
            self._http.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._upgraded()
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            raise cause if isinstance(cause, Exception) else error from None
        except httptools.HttpParserInvalidMethodError:
            raise Refused("method_unknown", "the request method is not one of HTTP's", 501) from None
        except httptools.HttpParserInvalidURLError as error:
            raise Refused("bad_target", f"the request target cannot be read: {error}") from None
        except httptools.HttpParserError as error:
            raise Refused("bad_request", f"the request is not HTTP/1.1: {error}") from None
        if self.phase is Phase.HEAD and self._head_bytes > self._settings.header_bytes:
            raise self._head_too_large()
        if self._wire_bytes - self._body_bytes > self._settings.body_bytes + self._settings.header_bytes:
            raise self._body_too_large("its chunks carry more framing than data")

    # -- what httptools calls

    def on_url(self, url: bytes) -> None:
        """Part of the request target."""
        if self._replaying:
            return
        self._target += url
        if len(self._target) > self._settings.url_bytes:
            limit = self._settings.url_bytes
            raise Refused("url_too_long", f"a request target has up to {limit} bytes", 414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header or trailer. Trailers are counted and dropped (RFC 9110 section 6.5.1)."""
        if self._replaying:
            return
        self._fields.append((name.decode("ascii").lower(), value.decode("latin-1").strip(" \t")))
        if len(self._fields) > self._settings.header_count:
            raise Refused("header_too_large", f"a request has up to {self._settings.header_count} headers", 431)

    def on_headers_complete(self) -> None:
        """The head is whole: decide whether the request can be taken at all."""
        if self._replaying:
            self._replaying = False
            return
        if self._head_bytes > self._settings.header_bytes:
            raise self._head_too_large()
        fields, self._fields = self._fields, []
        self._message = message = self._check_head(fields)
        self._check_body(message)
        self._upgrade = self._http.should_upgrade()
        self.phase = Phase.BODY

    def on_body(self, data: bytes) -> None:
        """Part of the body."""
        self.wants_continue = False
        self._body_bytes += len(data)
        if self._body_bytes > self._settings.body_bytes:
            raise self._body_too_large("it goes on")
        self._chunks.append(data)

    def on_message_complete(self) -> None:
        """The request is whole, unless httptools took it for an upgrade and left its body."""
        if not self._upgrade:
            self._finish()

    # -- decisions

    def _finish(self) -> None:
        message = self._message
        assert message is not None  # noqa: S101 - httptools completes no message without a head
        message.body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._done = message
        self.wants_continue = False
        self._begin()
        self.phase = Phase.IDLE if message.keep_alive and not message.websocket else Phase.OVER

    def _upgraded(self) -> None:
        """httptools stops at any upgrade; only a WebSocket is one here, and anything else has its body to come."""
        message = self._message
        assert message is not None  # noqa: S101 - an upgrade is known from the head
        self._upgrade = False
        protocols = _TOKENS.split(message.field("upgrade").lower())
        if "websocket" in protocols and message.method == "GET" and message.http11:
            if self._length != 0:
                raise Refused("bad_upgrade", "a WebSocket handshake has no body (RFC 6455 section 4.1)")
            message.websocket = True
            self._finish()
            return
        framing = b"Transfer-Encoding: chunked" if self._length is None else b"Content-Length: %d" % self._length
        self._replaying = True
        self._http = httptools.HttpRequestParser(self)
        self._http.feed_data(b"POST / HTTP/1.1\r\n" + framing + BLANK_LINE)

    def _check_head(self, fields: list[tuple[str, str]]) -> Message:
        version = self._http.get_http_version()
        method = self._http.get_method().decode("ascii")
        if version not in ("1.0", "1.1"):
            raise Refused("http_version", f"this port speaks HTTP/1.1 and 1.0; got {version}", 505)
        if method in _TUNNELS:
            raise Refused("method_unknown", f"{method} is not offered here", 501)
        target, authority = origin_form(method, self._target.decode("ascii"))
        hosts = [value for name, value in fields if name == "host"]
        if len(hosts) > 1 or (version == "1.1" and not hosts):
            raise Refused("bad_host", f"an HTTP/1.1 request has exactly one Host header; got {len(hosts)}")
        if authority is not None:
            fields = [(name, value) for name, value in fields if name != "host"] + [("host", authority)]
            hosts = [authority]
        if hosts and not _HOST.fullmatch(hosts[0]):
            raise Refused("bad_host", f"Host is a name or address with an optional port; got {hosts[0][:80]!r}")
        return Message(
            method=method,
            target=target,
            fields=fields,
            http11=version == "1.1",
            keep_alive=self._http.should_keep_alive(),
        )

    def _check_body(self, message: Message) -> None:
        """Settle how the body ends: `_length` and whether the client waits for 100 Continue."""
        coding = message.field("transfer-encoding")
        if coding:
            if not message.http11:
                raise Refused("bad_transfer_encoding", "HTTP/1.0 has no Transfer-Encoding")
            if coding.lower() != "chunked":
                raise Refused("bad_transfer_encoding", f"only 'chunked' is understood; got {coding[:80]!r}", 501)
            self._length = None
        else:
            self._length = int(message.field("content-length") or 0)
            if self._length > self._settings.body_bytes:
                raise self._body_too_large(f"Content-Length says {self._length}")
        expect = message.field("expect").lower()
        if expect and expect != "100-continue":
            raise Refused("expectation_failed", f"only '100-continue' can be expected; got {expect[:80]!r}", 417)
        self.wants_continue = bool(expect) and message.http11 and self._length != 0

    def _head_too_large(self) -> Refused:
        limit = self._settings.header_bytes
        return Refused("header_too_large", f"a request line with its headers has up to {limit} bytes", 431)

    def _body_too_large(self, came: str) -> Refused:
        return Refused("body_too_large", f"a body has up to {self._settings.body_bytes} bytes; {came}", 413)
