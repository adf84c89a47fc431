"""What a subscriber asks for: by ``Upgrade``, by ``Accept`` (RFC 9110 section 12.5.1), by ``?view``, ``?raw`` and
``?since``. Pure.
"""

import re
from typing import Final

from gateway.edge.request import Request
from gateway.hub.encoding import CHUNKED, EVENTS, STREAM, STREAM_RAW, WEBSOCKET, WEBSOCKET_RAW, Encoding
from gateway.hub.tail import CHUNKED_TAIL, PAGE, PAGE_RAW, PARTS, PARTS_RAW
from skyhooks.errors import Refused
from skyhooks.publication import Position

HTTP11: Final = {**CHUNKED, **CHUNKED_TAIL}
"""What a client gets that understands chunks, by the plain form."""

VIEWS: Final = ("tail",)
SWITCH: Final = {"": True, "true": True, "false": False}
"""What a switch in a query may say; a bare ``?raw`` is empty."""

_REFUSED = re.compile(r"q\s*=\s*0(\.0*)?")


def encoding_of(request: Request) -> Encoding:
    """How a subscriber is written to. Raises `Refused` (``bad_query``) for what does not go together."""
    raw, view = request.query.get("raw", "false"), request.query.get("view")
    if raw not in SWITCH:
        raise Refused("bad_query", f"raw is true, false or empty; got {raw[:80]!r}")
    plain, bare = _encodings(request, view)
    if SWITCH[raw] and bare is None:
        raise Refused("bad_query", "server-sent events have no raw form; leave out raw or the Accept header")
    return bare if SWITCH[raw] and bare is not None else plain


def _encodings(request: Request, view: str | None) -> tuple[Encoding, Encoding | None]:
    """What is asked for, and its raw form."""
    if view is not None:
        if view not in VIEWS or _is_upgrade(request):
            raise Refused("bad_query", f"the only view is tail, and it is no WebSocket; got view={view[:80]!r}")
        return (PARTS, PARTS_RAW) if _accepts(request, "multipart/x-mixed-replace") else (PAGE, PAGE_RAW)
    if _is_upgrade(request):
        return WEBSOCKET, WEBSOCKET_RAW
    return (EVENTS, None) if _accepts(request, "text/event-stream") else (STREAM, STREAM_RAW)


def _accepts(request: Request, media_type: str) -> bool:
    """Whether the Accept header names a media type itself, and not to refuse it (RFC 9110 section 12.5.1)."""
    for entry in request.headers.get("accept", "").lower().split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        if name == media_type:
            return not any(_REFUSED.fullmatch(parameter) for parameter in parameters)
    return False


def since_of(request: Request, encoding: Encoding) -> Position | None:
    """Where to resume. A browser that reconnects repeats the URL, so what it says it saw last wins.

    Raises `Refused` (``bad_position``).
    """
    asked, seen = request.query.get("since"), request.headers.get("last-event-id")
    since = Position.parse(asked) if asked else None
    last = Position.parse(seen) if seen else None
    return last if encoding is EVENTS and last is not None else since


def _is_upgrade(request: Request) -> bool:
    return request.headers.get("upgrade", "").lower() == "websocket"
