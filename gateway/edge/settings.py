"""Every limit of the edge, with its default and the reason for it."""

import ipaddress
import math

from skyhooks.settings import Setting, Settings, positive, words

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

KEEPALIVE_CEILING = 30.0


def networks(text: str) -> tuple[Network, ...]:
    """Read addresses and networks in CIDR form, separated by commas or spaces. Raises `ValueError`."""
    return tuple(ipaddress.ip_network(word) for word in words(text))


def keepalive(text: str) -> float:
    """Read a keepalive interval: above zero and under 30 s, the shortest idle limit of common proxies."""
    seconds = positive(float)(text)
    if seconds >= KEEPALIVE_CEILING:
        raise ValueError(f"expected less than {KEEPALIVE_CEILING:g} seconds, which proxies are known to wait")
    return seconds


def not_negative(text: str) -> float:
    """Read a number that is zero or above."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError("expected a number that is 0 or above")
    return value


class EdgeSettings(Settings):
    """The limits of one listening port."""

    header_bytes = Setting(16 * 1024, positive(int), "Bytes of a request line with its headers; above it 431.")
    header_count = Setting(100, positive(int), "Header lines, or trailer lines, of one request; above it 431.")
    url_bytes = Setting(8 * 1024, positive(int), "Bytes of a request target; above it 414.")
    query_fields = Setting(100, positive(int), "Fields of a query string; above it 400.")
    body_bytes = Setting(1024 * 1024, positive(int), "Bytes of a request body; above it 413.")
    header_seconds = Setting(10.0, positive(float), "From a request's first byte to the end of its headers; then 408.")
    body_seconds = Setting(30.0, positive(float), "From the end of the headers to the end of the body; then 408.")
    idle_seconds = Setting(75.0, positive(float), "How long a connection may wait for its next request.")
    linger_seconds = Setting(2.0, positive(float), "How long a refused client may go on sending before it is cut.")
    half_closed_seconds = Setting(
        5.0, positive(float), "How long a GET may still run for a client that has closed its sending side."
    )
    pipeline_requests = Setting(16, positive(int), "Requests read ahead of their turn; then reading pauses.")
    connections = Setting(50_000, positive(int), "Open connections of the node; above it 503.")
    connections_per_address = Setting(
        256,
        positive(int),
        "Open connections of one client (IPv4 address or IPv6 /64); loopback and proxies are exempt.",
    )
    requests_per_second = Setting(
        1000.0,
        not_negative,
        "Requests a second of one client (IPv4 address or IPv6 /64), above it 429; 0 turns it off. A message on a "
        "WebSocket counts as one; above the rate it is closed with 4002. A client behind a trusted "
        "proxy counts by its own address; loopback and proxies are exempt.",
    )
    requests_burst = Setting(2000, positive(int), "Requests that a client which was quiet may make at once.")
    rate_addresses = Setting(10_000, positive(int), "Clients whose rates are remembered; the quietest are forgotten.")
    trusted_proxies = Setting[tuple[Network, ...]](
        (), networks, "Addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are believed."
    )
    keepalive_seconds = Setting(25.0, keepalive, "A stream or WebSocket that was silent so long is sent a keepalive.")
    keepalive_misses = Setting(3, positive(int), "Pings without any sign of life after which a WebSocket is closed.")
    unsent_bytes = Setting(
        128 * 1024,
        positive(int),
        "Bytes that the kernel takes for one client before they can be sent (TCP_NOTSENT_LOWAT, on Linux); without a "
        "limit one that does not read costs megabytes, and is found out late.",
    )
    slow_seconds = Setting(30.0, positive(float), "A client that takes nothing of what waits for it is then cut off.")
    close_seconds = Setting(
        5.0, positive(float), "How long a client may take to answer or read the end of a connection."
    )
    websocket_message_bytes = Setting(64 * 1024, positive(int), "Bytes of one inbound WebSocket message; then 1009.")
    reply_bytes = Setting(
        64 * 1024, positive(int), "Answers waiting for a WebSocket client that does not read; then its input waits."
    )
