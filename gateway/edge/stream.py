"""Answers whose body does not end: one head, then what the peer writes, until the last chunk or the end of the
connection (RFC 9112 section 6.3).
"""

import asyncio
from typing import Final

from gateway.edge.connections import Connections
from gateway.edge.request import Stream
from gateway.edge.sink import OpenSink, State

LAST_CHUNK: Final = b"0\r\n\r\n"


class StreamSink(OpenSink):
    """The connection of a `Stream` answer. What the client still sends is dropped."""

    __slots__ = ("_chunked", "_keepalive")

    def __init__(self, transport: asyncio.Transport, connections: Connections, key: str | None, answer: Stream) -> None:
        super().__init__(transport, connections, key, answer.peer)
        self._chunked = answer.chunked
        self._keepalive = answer.keepalive

    def close(self, code: int, reason: str) -> None:
        """End the body. A stream has no place for `code` and `reason`."""
        if self._state is State.OPEN:
            if self._chunked:
                self._write(LAST_CHUNK)
            self._begin_closing()
            self._transport.close()

    def _keep_alive(self) -> None:
        self._write(self._keepalive)
