"""How publications look on the wire of each transport. Encoded once per transport, the same bytes for every subscriber.

WebSocket frames from a server are not masked (RFC 6455 section 5.1), so one frame serves all. Server-sent events
follow the HTML standard, section 9.2; the newline stream is one JSON object a line. Data is compact JSON, so it
holds no line break. The tail view has a file of its own, `gateway.hub.tail`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from websockets.frames import Frame, Opcode

from skyhooks.publication import Position


class Encoding(ABC):
    """One transport's way to write a publication, a gap and the first notice of where a subscriber stands.

    `headers` go with the answer, besides those that all streams have.
    """

    name: str
    content_type: str = ""
    keepalive: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})

    def opening(self, channel: str) -> bytes:
        """What stands before the first notice, such as the head of a page of this channel."""
        return b""

    @abstractmethod
    def publication(self, position: Position, data: bytes) -> bytes:
        """One publication, whole."""

    @abstractmethod
    def gap(self, start: Position, end: Position) -> bytes:
        """The notice that what lies after `start` up to and including `end` is gone."""

    @abstractmethod
    def hello(self, position: Position) -> bytes:
        """The first thing a subscriber gets: where it stands. Empty for encodings without positions."""


def envelope(position: Position, data: bytes) -> bytes:
    """A publication with its position, as JSON."""
    return b'{"position":"%b","data":%b}' % (str(position).encode(), data)


def gap_notice(start: Position, end: Position) -> bytes:
    """What lies after `start` up to and including `end` is gone, as JSON."""
    return b'{"from":"%b","to":"%b"}' % (str(start).encode(), str(end).encode())


def here(position: Position) -> bytes:
    """Where a subscriber stands, as JSON."""
    return b'{"position":"%b"}' % str(position).encode()


def _frame(text: bytes) -> bytes:
    return Frame(Opcode.TEXT, text).serialize(mask=False)


class _WebSocket(Encoding):
    name = "websocket"

    def publication(self, position: Position, data: bytes) -> bytes:
        return _frame(envelope(position, data))

    def gap(self, start: Position, end: Position) -> bytes:
        return _frame(b'{"gap":%b}' % gap_notice(start, end))

    def hello(self, position: Position) -> bytes:
        return _frame(here(position))


class Named(Encoding):
    """One channel among others on a WebSocket: each message says which one it is from.

    All who follow `channel` that way share one encoding, so instances of one channel are equal.
    """

    name = "named"

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._start = b'{"channel":"%b",' % channel.encode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and other._channel == self._channel

    def __hash__(self) -> int:
        return hash(self._channel)

    def publication(self, position: Position, data: bytes) -> bytes:
        """One publication, whole."""
        return _frame(self._start + envelope(position, data)[1:])

    def gap(self, start: Position, end: Position) -> bytes:
        """The notice that what lies after `start` up to and including `end` is gone."""
        return _frame(b'%b"gap":%b}' % (self._start, gap_notice(start, end)))

    def hello(self, position: Position) -> bytes:
        """Where the subscription stands: its first message."""
        return _frame(self._start + here(position)[1:])

    def ended(self, code: int, reason: str) -> bytes:
        """The notice that the subscription is over, with what would be a Close on a WebSocket of its own."""
        text = msgspec.json.encode({"code": code, "reason": reason})
        return _frame(b'%b"ended":%b}' % (self._start, text))


class _Stream(Encoding):
    name = "stream"
    content_type = "application/x-ndjson"
    keepalive = b"\n"

    def publication(self, position: Position, data: bytes) -> bytes:
        return envelope(position, data) + b"\n"

    def gap(self, start: Position, end: Position) -> bytes:
        return b'{"gap":%b}\n' % gap_notice(start, end)

    def hello(self, position: Position) -> bytes:
        return here(position) + b"\n"


class _Events(Encoding):
    name = "sse"
    content_type = "text/event-stream"
    keepalive = b":\n\n"

    def publication(self, position: Position, data: bytes) -> bytes:
        return b"id: %b\ndata: %b\n\n" % (str(position).encode(), data)

    def gap(self, start: Position, end: Position) -> bytes:
        return b"event: gap\nid: %b\ndata: %b\n\n" % (str(end).encode(), gap_notice(start, end))

    def hello(self, position: Position) -> bytes:
        # An event without data is not dispatched, but a browser remembers its id and resumes from it.
        return b"id: %b\n\n" % str(position).encode()


class _RawWebSocket(_WebSocket):
    name = "websocket-raw"

    def publication(self, position: Position, data: bytes) -> bytes:
        return _frame(data)

    def gap(self, start: Position, end: Position) -> bytes:
        return b""

    def hello(self, position: Position) -> bytes:
        return b""


class _RawStream(_Stream):
    name = "stream-raw"

    def publication(self, position: Position, data: bytes) -> bytes:
        return data + b"\n"

    def gap(self, start: Position, end: Position) -> bytes:
        return b""

    def hello(self, position: Position) -> bytes:
        return b""


class _Chunked(Encoding):
    """Another encoding with each notice as a chunk of HTTP/1.1 (RFC 9112 section 7.1).

    Without chunks the body would end with the connection, and many clients would hold it back to fill their buffers.
    """

    def __init__(self, plain: Encoding) -> None:
        self._plain = plain
        self.name = f"{plain.name}-chunked"
        self.content_type = plain.content_type
        self.headers = plain.headers
        self.keepalive = _chunk(plain.keepalive)

    def opening(self, channel: str) -> bytes:
        return _chunk(self._plain.opening(channel))

    def publication(self, position: Position, data: bytes) -> bytes:
        return _chunk(self._plain.publication(position, data))

    def gap(self, start: Position, end: Position) -> bytes:
        return _chunk(self._plain.gap(start, end))

    def hello(self, position: Position) -> bytes:
        return _chunk(self._plain.hello(position))


def chunked(plain: Encoding) -> Encoding:
    """What `plain` is for a client that understands chunks."""
    return _Chunked(plain)


def _chunk(content: bytes) -> bytes:
    # An empty chunk would end the body.
    return b"%x\r\n%b\r\n" % (len(content), content) if content else b""


WEBSOCKET: Final = _WebSocket()
WEBSOCKET_RAW: Final = _RawWebSocket()
STREAM: Final = _Stream()
STREAM_RAW: Final = _RawStream()
EVENTS: Final = _Events()
CHUNKED: Final[dict[Encoding, Encoding]] = {plain: chunked(plain) for plain in (STREAM, STREAM_RAW, EVENTS)}
"""What HTTP/1.1 gets instead of the plain form."""
