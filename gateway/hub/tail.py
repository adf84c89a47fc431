"""The tail view, for eyes: a page that grows over one connection, and parts that replace each other.

The page needs no script: its list is laid out backwards, so the newest item is at the top, and each publication is
one more item of a document that never ends. Everything that comes from a publication is escaped, and the page's
policy allows nothing but its own style sheet, by its hash (CSP level 3, section 8.4).

Parts (``multipart/x-mixed-replace``) end with the delimiter, not begin with it: a reader knows that a part is whole
when it sees the next delimiter (RFC 2046 section 5.1.1), and the next publication may be hours away.
"""

import base64
import hashlib
import html
from types import MappingProxyType
from typing import Final

import msgspec

from gateway.hub.encoding import Encoding, chunked, envelope, gap_notice, here
from skyhooks.publication import Position

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --quiet: color-mix(in srgb, CanvasText 65%, Canvas); }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; font: 1rem/1.4 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline; border-bottom: 1px solid var(--line); }
h1 { font-size: 1.2rem; margin: .5rem 0; overflow-wrap: anywhere; }
a { color: inherit; }
ol { display: flex; flex-direction: column-reverse; list-style: none; margin: 0; padding: 0; }
li { display: flex; flex-wrap: wrap; gap: 0 1rem; padding: .4rem 0; border-bottom: 1px solid var(--line); }
li > a, .note, dt { color: var(--quiet); }
li > a { flex: 0 0 11rem; font-size: .8rem; overflow-wrap: anywhere; text-decoration: none; }
code { font: .9rem/1.4 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
li > code, dl { flex: 1 1 20rem; min-width: 0; margin: 0; }
dl { display: grid; grid-template-columns: fit-content(12rem) 1fr; gap: 0 1rem; }
dt { overflow-wrap: anywhere; }
dd { margin: 0; }
.gap { border-left: .3rem solid #c60; padding-left: .6rem; }
"""
_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
BOUNDARY: Final = "skyhooks"

_Fields = dict[str, msgspec.Raw]


class _Page(Encoding):
    name = "page"
    content_type = "text/html; charset=utf-8"
    keepalive = b"\n"
    headers = MappingProxyType({"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"})

    def opening(self, channel: str) -> bytes:
        name = html.escape(channel)
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>\n'
            f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n'
            f'<body><header><h1>{name}</h1><span class="note">newest first, as it comes</span>'
            '<a href="?view=tail&amp;since=0">from the start</a></header>\n<ol>\n'
        ).encode()

    def publication(self, position: Position, data: bytes) -> bytes:
        return f"<li>{_link(position)}{_readable(data)}</li>\n".encode()

    def gap(self, start: Position, end: Position) -> bytes:
        note = f"what came after {_shown(start)}, up to {_shown(end)}, is no longer kept"
        return f'<li class="gap">{_link(end)}<span class="note">{note}</span></li>\n'.encode()

    def hello(self, position: Position) -> bytes:
        return f'<li>{_link(position)}<span class="note">from here on</span></li>\n'.encode()


class _RawPage(_Page):
    name = "page-raw"

    def publication(self, position: Position, data: bytes) -> bytes:
        return f"<li>{_readable(data)}</li>\n".encode()

    def gap(self, start: Position, end: Position) -> bytes:
        return b""

    def hello(self, position: Position) -> bytes:
        return b""


class _Parts(Encoding):
    name = "parts"
    content_type = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
    # A part without headers and content: anything else could not be told from a publication, or would pile up.
    keepalive = f"\r\n--{BOUNDARY}\r\n".encode()

    def opening(self, channel: str) -> bytes:
        return self.keepalive

    def publication(self, position: Position, data: bytes) -> bytes:
        return _part(envelope(position, data))

    def gap(self, start: Position, end: Position) -> bytes:
        return _part(b'{"gap":%b}' % gap_notice(start, end))

    def hello(self, position: Position) -> bytes:
        return _part(here(position))


class _RawParts(_Parts):
    name = "parts-raw"

    def publication(self, position: Position, data: bytes) -> bytes:
        return _part(data)

    def gap(self, start: Position, end: Position) -> bytes:
        return b""

    def hello(self, position: Position) -> bytes:
        return b""


def _part(content: bytes) -> bytes:
    # The content is one line of JSON, so it never holds the delimiter, which begins with a line break.
    head = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content)
    return head + content + _Parts.keepalive


def _shown(position: Position) -> str:
    return html.escape(str(position))


def _link(position: Position) -> str:
    return f'<a href="?view=tail&amp;since={_shown(position)}">{_shown(position)}</a>'


def _readable(data: bytes) -> str:
    """`data` as HTML: the fields of an object in a table, anything else as it is.

    Deeper levels stay in one line: indenting them would let a small publication grow a thousandfold.
    """
    try:
        fields = msgspec.json.decode(data, type=_Fields)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        fields = {}
    if not fields:
        return f"<code>{_escaped(data)}</code>"
    rows = (f"<dt>{html.escape(name)}</dt><dd><code>{_escaped(value)}</code></dd>" for name, value in fields.items())
    return f"<dl>{''.join(rows)}</dl>"


def _escaped(text: "bytes | msgspec.Raw") -> str:
    return html.escape(bytes(text).decode("utf-8", "replace"))


PAGE: Final = _Page()
PAGE_RAW: Final = _RawPage()
PARTS: Final = _Parts()
PARTS_RAW: Final = _RawParts()
CHUNKED_TAIL: Final[dict[Encoding, Encoding]] = {plain: chunked(plain) for plain in (PAGE, PAGE_RAW, PARTS, PARTS_RAW)}
"""What HTTP/1.1 gets instead of the plain form."""
