"""Which pages may talk to a gateway: the rules for the Host and Origin headers. Pure; both planes use them.

A gateway without secrets trusts whoever reaches its loopback address, and a browser reaches it for any page that is
open in it. So a name that somebody else can point at 127.0.0.1 (DNS rebinding) is refused by its Host, and a page
of another site is refused by its Origin, which browsers always send with a POST and with a WebSocket handshake (RFC
6454 section 7, RFC 6455 section 10.2). Programs send no Origin and are not affected.
"""

import ipaddress
from collections.abc import Collection
from typing import Final
from urllib.parse import SplitResult, urlsplit

from skyhooks.errors import Refused

ANY: Final = "*"

_DEFAULT_PORTS = {"http": 80, "https": 443}


def check_host(host: str, hosts: Collection[str]) -> None:
    """Accept an IP literal, ``localhost`` and the names in `hosts` (``*``: any); `host` is a Host header.

    Raises `Refused` (421, ``bad_host``).
    """
    name = _split(f"//{host}").hostname or ""
    if ANY in hosts or name == "localhost" or _is_address(name) or name in {known.lower() for known in hosts}:
        return
    raise Refused(
        "bad_host",
        f"this gateway answers to IP addresses, localhost and the names in its setting `hosts`; got {host[:80]!r}",
        421,
    )


def check_origin(origin: str | None, host: str, origins: Collection[str] = ()) -> None:
    """Accept a request from no page (None), from a page of the gateway itself, and from the pages in `origins`.

    `origins` are written as browsers send them, ``https://app.example``; ``*`` accepts any.
    Raises `Refused` (403, ``bad_origin``).
    """
    if origin is None or ANY in origins or origin in origins:
        return
    page = _split(origin)
    own = _split(f"{page.scheme}://{host}")
    if page.scheme in _DEFAULT_PORTS and page.hostname and _address(page) == _address(own):
        return
    raise Refused("bad_origin", f"pages of {origin[:80]!r} may not talk to {host[:80]!r}", 403)


def is_loopback(address: str) -> bool:
    """Whether an address or name to listen on can be reached from this machine only."""
    return address == "localhost" or (_is_address(address) and ipaddress.ip_address(address).is_loopback)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError for a port that is none
    except ValueError:
        return SplitResult("", "", "", "", "")
    return parts


def _address(parts: SplitResult) -> tuple[str | None, int | None]:
    return parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
