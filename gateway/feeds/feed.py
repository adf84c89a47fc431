"""What a feed is."""

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

from skyhooks.errors import SkyhooksError


class FeedError(SkyhooksError):
    """A feed cannot go on now; asked again it may."""


class Item(msgspec.Struct, frozen=True):
    """One thing from a feed: compact JSON in UTF-8, and where the feed stands after it (empty: it has no positions)."""

    data: bytes
    cursor: str = ""


class Feed(Protocol):
    """Something that brings items for as long as somebody listens."""

    def items(self, cursor: str) -> AsyncIterator[Item]:
        """What follows `cursor` (empty: from now on), for ever.

        Ends, or raises `FeedError` or `OSError`, when it cannot go on; whoever listens asks again later.
        """
        ...
