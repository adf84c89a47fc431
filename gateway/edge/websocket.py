"""WebSocket connections: the handshake, and a sink whose input goes through a reader that exists only while it is
needed.
"""

import asyncio
import base64
import binascii
from collections.abc import Mapping
from typing import Final

import structlog
from websockets.utils import accept_key

from gateway.edge.close import SILENT, TOO_FAST
from gateway.edge.connections import Connections
from gateway.edge.head import header_lines, status_line
from gateway.edge.messages import PING, MessageReader
from gateway.edge.parser import Message
from gateway.edge.request import Peer
from gateway.edge.sink import OpenSink, State
from skyhooks.errors import Refused

log = structlog.get_logger()

VERSION: Final = "13"
KEY_BYTES: Final = 16


def upgrade_required(detail: str) -> Refused:
    """The answer 426 for what would have to be a WebSocket handshake (RFC 6455 section 4.4)."""
    return Refused("upgrade_required", detail, 426, {"Upgrade": "websocket", "Sec-WebSocket-Version": VERSION})


def accept_handshake(message: Message) -> str:
    """The Sec-WebSocket-Accept value for a handshake (RFC 6455 section 4.2).

    Raises `Refused`: ``upgrade_required`` (426) for another version, ``bad_upgrade`` for a key that is none.
    """
    version = message.field("sec-websocket-version")
    if version != VERSION:
        raise upgrade_required(f"Sec-WebSocket-Version must be {VERSION}; got {version[:80]!r}")
    key = message.field("sec-websocket-key")
    try:
        size = len(base64.b64decode(key.encode(), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if size != KEY_BYTES:
        raise Refused("bad_upgrade", f"Sec-WebSocket-Key must be base64 of {KEY_BYTES} bytes; got {key[:80]!r}")
    return accept_key(key)


def handshake_head(accept: str, headers: Mapping[str, str], date: bytes) -> bytes:
    """The 101 response. Raises `ValueError` for headers that cannot be sent."""
    return b"".join(
        (
            status_line(101),
            header_lines({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept}.items()),
            header_lines(headers.items()),
            date,
            b"\r\n",
        )
    )


class WebSocketSink(OpenSink):
    """The connection of a `WebSocket` answer. Each message counts as a request of `client`, unless that is None."""

    __slots__ = ("_client", "_held", "_missed", "_reader")

    def __init__(
        self,
        transport: asyncio.Transport,
        connections: Connections,
        key: str | None,
        peer: Peer,
        client: str | None = None,
    ) -> None:
        super().__init__(transport, connections, key, peer)
        self._client = client
        self._held = False
        self._missed = 0
        self._reader: MessageReader | None = None

    # -- input

    def data_received(self, data: bytes) -> None:
        """Bytes from the client: hand its messages to the peer, answer its pings and its Close."""
        self._missed = 0
        reader = self._reader
        if reader is None:
            if self._state is not State.OPEN:
                return
            reader = self._reader = MessageReader(self._connections.settings.websocket_message_bytes)
        elif reader.over:
            return
        for message in reader.feed(data):
            if self._state is State.OPEN and self._counts():
                self._tell(self._peer.received, message)
        self._answer(reader)

    def _counts(self) -> bool:
        """Whether the client may send this message; if not, the connection ends."""
        try:
            self._connections.slow_down(self._client)
        except Refused:
            self._end(TOO_FAST)
            return False
        return True

    def _answer(self, reader: MessageReader) -> None:
        """Write what the reader has to say, and end the connection if it is over."""
        output = reader.output()
        if output and self._state is not State.GONE:
            self._write(output)
        if reader.over:
            self._begin_closing()
            self._half_close()
        elif reader.idle:
            self._reader = None
        self._hold_input()

    def hold(self, on: bool) -> None:
        """See `gateway.edge.request.Sink.hold`."""
        self._held = on
        if not on and self._state is not State.GONE:
            self._transport.resume_reading()
        self._hold_input()

    def _hold_input(self) -> None:
        """Read no more from a client that does not read what it asked for, or that the peer has enough of.

        Each drain lets one more read through, unless the peer still holds.
        """
        waiting = self._transport.get_write_buffer_size() if self._stuck is not None else 0
        held = self._held and self._state is State.OPEN  # a client that is sent away is to answer
        if held or waiting > self._connections.settings.reply_bytes:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The transport's buffer is empty: input may come again, and the peer may go on."""
        if not self._held:
            self._transport.resume_reading()
        super().resume_writing()

    # -- output

    def close(self, code: int, reason: str) -> None:
        """Send Close and wait for the client's, for up to `close_seconds`."""
        if self._state is not State.OPEN:
            return
        if self._reader is None:
            self._reader = MessageReader(self._connections.settings.websocket_message_bytes)
        self._reader.close(code, reason)
        self._begin_closing()
        if self._held:
            self.hold(False)
        output = self._reader.output()
        if output:
            self._write(output)

    def _half_close(self) -> None:
        """End our side and wait for the client to end its own, so that a reset does not overtake the Close frame."""
        if not self._transport.can_write_eof():
            self._transport.close()
        elif not self._transport.is_closing():
            self._transport.write_eof()

    def _keep_alive(self) -> None:
        if self._missed >= self._connections.settings.keepalive_misses:
            log.info("websocket_silent", pings=self._missed)
            self._end(SILENT)
            return
        # While its input is held nobody sees its answers.
        self._missed = 0 if self._held else self._missed + 1
        self._write(PING)
