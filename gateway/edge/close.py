"""Why a WebSocket is closed, as numbers that a client can act on (RFC 6455 section 7.4, IANA registry, own range
4000-4999).

A *temporary* code invites the client to come back with its last position; a *final* one says that coming back with
the same request would end the same way.
"""

from typing import Final

import msgspec


class Close(msgspec.Struct, frozen=True):
    """One close code: its number, a stable name, whether coming back makes sense, and what it means."""

    code: int
    name: str
    temporary: bool
    meaning: str


NORMAL: Final = Close(1000, "normal", False, "both sides are done")
GOING_AWAY: Final = Close(1001, "going_away", True, "this node is stopping; another one serves the same channels")
PROTOCOL_ERROR: Final = Close(1002, "protocol_error", False, "the client broke RFC 6455")
UNSUPPORTED_DATA: Final = Close(1003, "unsupported_data", False, "this endpoint does not take that kind of message")
INVALID_DATA: Final = Close(1007, "invalid_data", False, "a text message or close reason was not UTF-8")
POLICY: Final = Close(1008, "policy", False, "the message was understood and is not allowed")
TOO_BIG: Final = Close(1009, "too_big", False, "a message is above websocket_message_bytes")
INTERNAL_ERROR: Final = Close(1011, "internal_error", True, "the node failed; its log says why")
RESTART: Final = Close(1012, "restart", True, "this node is restarting; come back after a random pause")
TRY_LATER: Final = Close(1013, "try_later", True, "the node is too busy for this subscription now")
SLOW: Final = Close(4000, "slow", True, "the client took nothing for slow_seconds; resume from the last position")
SILENT: Final = Close(4001, "silent", True, "the client answered none of keepalive_misses pings")
TOO_FAST: Final = Close(4002, "too_fast", True, "the client sent more messages than requests_per_second allows")

CLOSES: Final = (
    NORMAL,
    GOING_AWAY,
    PROTOCOL_ERROR,
    UNSUPPORTED_DATA,
    INVALID_DATA,
    POLICY,
    TOO_BIG,
    INTERNAL_ERROR,
    RESTART,
    TRY_LATER,
    SLOW,
    SILENT,
    TOO_FAST,
)
"""Every code that the edge sends by itself or offers to the node."""
