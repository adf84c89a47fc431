"""WebSocket input (RFC 6455 sections 5 to 7): bytes in; messages, and the frames that answer them, out. No I/O.

The frames are parsed by the `websockets` package. A reader exists only while a client is in the middle of something:
`idle` says that every byte fed so far belonged to a whole message, so that the reader can be let go.
"""

import codecs
import logging
from collections.abc import Iterator
from typing import Final

import structlog
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import SEND_EOF, State
from websockets.server import ServerProtocol

from gateway.edge.close import INVALID_DATA, TOO_BIG

log = structlog.get_logger()

CONTROL_BYTES: Final = 125
REASON_BYTES: Final = 123
MASK_BYTES: Final = 4
PING: Final = Frame(Opcode.PING, b"").serialize(mask=False)

_DATA: Final = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})
# The core tells its logger of every connection; what matters is reported here.
_SILENT: Final = logging.Logger("gateway.edge.messages", logging.CRITICAL)


def encode_message(message: str | bytes) -> bytes:
    """`message` as one frame from a server: text for `str`, binary for `bytes`."""
    if isinstance(message, str):
        return Frame(Opcode.TEXT, message.encode()).serialize(mask=False)
    return Frame(Opcode.BINARY, message).serialize(mask=False)


def wire_bytes(frame: Frame) -> int:
    """The least bytes that a client's `frame` takes on the wire; a longer spelling of its length only keeps a reader
    longer.
    """
    size = len(frame.data)
    return size + MASK_BYTES + (2 if size < 126 else 4 if size < 65536 else 10)


class MessageReader:
    """Reassembles messages of up to `limit` bytes."""

    __slots__ = ("_decoder", "_limit", "_parts", "_protocol", "_text", "_unread", "over")

    def __init__(self, limit: int) -> None:
        # The core holds a control frame inside a message against what the message may still take: leave it that room.
        self._protocol = ServerProtocol(state=State.OPEN, max_size=limit + CONTROL_BYTES, logger=_SILENT)
        self._limit = limit
        self._unread = 0
        self._parts: bytearray | None = None
        self._text = False
        self._decoder: codecs.IncrementalDecoder | None = None
        self.over = False

    @property
    def idle(self) -> bool:
        """Whether nothing is kept here that a new reader would not have."""
        return self._unread == 0 and self._parts is None and self._protocol.state is State.OPEN

    def feed(self, data: bytes) -> Iterator[str | bytes]:
        """Read `data` and give the messages that it completes; what came behind an error or a Close is not read.

        `output` must be written afterwards.
        """
        self._unread += len(data)
        self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            assert isinstance(frame, Frame)  # noqa: S101 - only a handshake has other events
            self._unread -= wire_bytes(frame)
            if frame.opcode in _DATA and not self.over:
                message = self._collect(frame)
                if message is not None:
                    yield message
        self._report()

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake; a reason that does not fit is cut."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason.encode()[:REASON_BYTES].decode(errors="ignore"))

    def output(self) -> bytes:
        """The frames to write: pongs, and a Close. Sets `over` when the TCP connection should end behind them."""
        frames = self._protocol.data_to_send()
        self.over = self.over or SEND_EOF in frames
        return b"".join(frames)

    def _collect(self, frame: Frame) -> str | bytes | None:
        """Add a data frame to its message; the message, if that is whole now."""
        if self._parts is None:
            self._parts = bytearray()
            self._text = frame.opcode is Opcode.TEXT
            self._decoder = codecs.getincrementaldecoder("utf-8")() if self._text and not frame.fin else None
        if len(self._parts) + len(frame.data) > self._limit:
            self._fail(TOO_BIG.code, f"a message has up to {self._limit} bytes")
            return None
        self._parts += frame.data
        try:
            if self._decoder is not None:
                # A broken sequence is refused with the fragment that breaks it, not at the end of a long message.
                self._decoder.decode(frame.data, frame.fin)
            if not frame.fin:
                return None
            whole, self._parts = bytes(self._parts), None
            return whole.decode("utf-8") if self._text else whole
        except UnicodeDecodeError as error:
            self._fail(INVALID_DATA.code, f"a text message is UTF-8: {error.reason}")
            return None

    def _fail(self, code: int, reason: str) -> None:
        self.over = True
        self._parts = None
        if self._protocol.state is State.OPEN:
            self._protocol.fail(code, reason)

    def _report(self) -> None:
        error = self._protocol.parser_exc
        if error is not None and not isinstance(error, ProtocolError | PayloadTooBig | UnicodeDecodeError | EOFError):
            log.error("websocket_parser_failed", exc_info=error)
