"""What the edge hands to the node and takes back: requests, whole responses, and connections that stay open.

The edge knows bytes, HTTP and WebSocket; it does not know channels, hubs or stores. A `Handler` is called for each
request of the data plane and answers with one of three things.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from skyhooks.errors import Refused
from skyhooks.problem import PROBLEM, problem_body


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One whole request. Header names are lower-case; `path` is percent-decoded; `remote` is the client's address.

    `websocket`: this is a valid WebSocket handshake, so that a `WebSocket` answer can be given.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    remote: str
    http11: bool = True
    websocket: bool = False


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """One whole response; the edge adds Date, Content-Length and Connection, and leaves out a handler's own."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Sink(Protocol):
    """The writing side of a connection that stays open. Nothing here blocks, awaits, or calls the peer back."""

    def send(self, data: bytes, ends: Sequence[int]) -> int:
        """Write whole frames; `ends` are their end positions in `data`. Returns how many were taken.

        A frame that was cut counts as taken: its rest is the transport's. Fewer than all, 0 included, means that the
        connection is full; `Peer.drained` is called once it has room again.
        """
        ...

    def has_room(self) -> bool:
        """Whether `send` would take something now. If not, `Peer.drained` is called once it would."""
        ...

    def hold(self, on: bool) -> None:
        """Leave what the client sends where it is, or take it again. What has been read already still comes."""
        ...

    def reply(self, frame: bytes) -> None:
        """Write one whole frame, behind what waits if the connection is full: for answers to what this client sent.

        Nothing is dropped, and it is bounded: while more than `reply_bytes` wait, the client's input is not read.
        """
        ...

    def close(self, code: int, reason: str) -> None:
        """End the connection in order: a Close frame on WebSocket (RFC 6455 section 7.4), the end of the body on a
        stream.
        """
        ...

    def abort(self) -> None:
        """Drop the connection at once, without waiting for the peer to read."""
        ...


class Peer(Protocol):
    """The reading side of a connection that stays open: what the node is told of it.

    Each call comes from the event loop, never from inside a method of `Sink`. If the client has gone before the
    answer, or asked with HEAD, nothing is called at all.
    """

    def opened(self, sink: Sink) -> None:
        """The response head is on its way, and `sink` may be written to."""
        ...

    def drained(self) -> None:
        """The connection has room again after `Sink.send` took fewer frames than it was given."""
        ...

    def received(self, message: str | bytes) -> None:
        """A whole WebSocket message has come (never called on streams)."""
        ...

    def closed(self) -> None:
        """The connection is gone or closing; `sink` does nothing any more. Called once, if `opened` was."""
        ...


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """Answer with a body that does not end: 200, `headers`, then what the peer writes.

    `keepalive` bytes are written whenever nothing else was for the keepalive interval. With `chunked` the edge
    announces HTTP/1.1's chunks and ends the body with the last one, and everything that is written (the keepalive
    too) comes as whole chunks already: they are encoded once for all subscribers. Without, the body ends with the
    connection.
    """

    peer: Peer
    headers: Mapping[str, str]
    keepalive: bytes
    chunked: bool = False


class WebSocket(msgspec.Struct, frozen=True, kw_only=True):
    """Answer an upgrade request with 101, `headers` added (Sec-WebSocket-Protocol), and leave the connection to the
    peer.

    A request that was no WebSocket handshake is answered 426 instead.
    """

    peer: Peer
    headers: Mapping[str, str] = {}


Answer = Response | Stream | WebSocket
Handler = Callable[[Request], Awaitable[Answer]]
"""Answers one request. It may raise `Refused`; anything else it raises is ours and answered 500 without detail."""


def problem(error: Refused) -> Response:
    """The answer to a refused request, RFC 9457: type, title, status, detail and a stable code."""
    headers = {"Content-Type": PROBLEM, **error.headers}
    return Response(status=error.status, headers=headers, body=problem_body(error))
