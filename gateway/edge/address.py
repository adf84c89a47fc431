"""Whose request it is: the client's address behind proxies that are trusted, and the key under which its connections
count.
"""

import ipaddress
from collections.abc import Sequence

from gateway.edge.settings import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

IPV6_SITE = 64


def parse_address(text: str) -> Address | None:
    """The address in `text`, which may carry a port (``1.2.3.4:5``, ``[::1]:5``); None when it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_trusted(text: str, trusted: Sequence[Network]) -> bool:
    """Whether the address `text` lies in one of the `trusted` networks."""
    address = parse_address(text) if trusted else None
    return address is not None and any(address in network for network in trusted)


def client_address(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """The client's address: `peer`, or, when that is a trusted proxy, the rightmost address of `forwarded` that is not.

    `forwarded` is the value of X-Forwarded-For. Each proxy appends the address that it saw, so only what trusted
    proxies wrote, counted from the right, can be believed; at an entry that is no address the last believed one
    stands.
    """
    client = peer
    for entry in reversed(forwarded.split(",")):
        if not is_trusted(client, trusted):
            break
        address = parse_address(entry)
        if address is None:
            break
        client = str(address)
    return client


def counting_key(peer: str, trusted: Sequence[Network]) -> str | None:
    """What the connections of `peer` are counted under: its IPv4 address or IPv6 /64; None when it is exempt."""
    address = parse_address(peer)
    if address is None or address.is_loopback or is_trusted(peer, trusted):
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_SITE), strict=False))
    return str(address)
