"""Feeds: what a bridge brings into a channel. Another kind is one class with `items`, and a line in `KINDS`."""

from collections.abc import Callable
from typing import Final
from urllib.parse import SplitResult, urlsplit

from gateway.feeds.feed import Feed
from gateway.feeds.lines import LineFeed
from gateway.feeds.numbers import NumberFeed
from skyhooks.errors import SettingsError, shown


def _numbers(url: SplitResult) -> Feed:
    if not url.hostname or not url.port:
        raise ValueError("expected numbers://HOST:PORT")
    return NumberFeed(url.hostname, url.port)


def _lines(url: SplitResult) -> Feed:
    if url.netloc or not url.path.startswith("/"):
        raise ValueError("expected lines:///absolute/path")
    return LineFeed(url.path)


KINDS: Final[dict[str, Callable[[SplitResult], Feed]]] = {"numbers": _numbers, "lines": _lines}
"""What makes a feed, by the scheme of its URL."""


def open_feed(url: str) -> Feed:
    """The feed behind a URL; nothing is connected or opened yet. Raises `SettingsError`."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in KINDS:
            raise ValueError(f"expected one of {', '.join(f'{name}://' for name in KINDS)}")
        return KINDS[parts.scheme](parts)
    except ValueError as error:
        raise SettingsError(f"a feed is given as a URL; got {shown(url)}: {error}") from error
