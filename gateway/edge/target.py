"""Request targets (RFC 9112 section 3.2): what is asked for, decoded.

Dot segments are left as they came: the names that handlers accept are checked by them, and a path is never joined to
a folder by the edge.
"""

import re
from urllib.parse import unquote, unquote_to_bytes

from skyhooks.errors import Refused

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE)


def origin_form(method: str, target: str) -> tuple[str, str | None]:
    """`target` as path and query, with the authority that it named if it was in absolute form.

    Raises `Refused` (``bad_target``) for any other form; ``*`` is for OPTIONS alone.
    """
    if "#" in target:
        raise Refused("bad_target", "a request target has no fragment; found '#'")
    if target.startswith("/") or (target == "*" and method == "OPTIONS"):
        return target, None
    if match := _ABSOLUTE.fullmatch(target):
        rest = match[2]
        return rest if rest.startswith("/") else "/" + rest, match[1]
    raise Refused("bad_target", f"a request target is a path that starts with '/'; got {target[:80]!r}")


def decode_path(raw: str) -> str:
    """`raw` without its percent-encoding. Raises `Refused` (``bad_path``) unless it is UTF-8."""
    if "%" not in raw:
        return raw
    if _BROKEN_ESCAPE.search(raw):
        raise Refused("bad_path", "a '%' in a path is followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("bad_path", f"a path is UTF-8 once its percent-encoding is undone: {error.reason}") from error


def decode_query(raw: str, limit: int) -> dict[str, str]:
    """The fields of a query string.

    Raises `Refused` (``bad_query``) for more than `limit` fields, for one given twice, and for what is not UTF-8.
    """
    fields: dict[str, str] = {}
    if not raw:
        return fields
    parts = [part for part in raw.split("&") if part]
    if len(parts) > limit:
        raise Refused("bad_query", f"a query has up to {limit} fields; got {len(parts)}")
    for part in parts:
        name, _, value = (_field(text) for text in part.partition("="))
        if name in fields:
            raise Refused("bad_query", f"the query field {name[:80]!r} is given twice")
        fields[name] = value
    return fields


def _field(text: str) -> str:
    if _BROKEN_ESCAPE.search(text):
        raise Refused("bad_query", "a '%' in a query is followed by two hexadecimal digits")
    try:
        return unquote(text.replace("+", " "), errors="strict")
    except UnicodeDecodeError as error:
        raise Refused("bad_query", f"a query is UTF-8 once its percent-encoding is undone: {error.reason}") from error
