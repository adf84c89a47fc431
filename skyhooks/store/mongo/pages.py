"""Reading the log: the newest row of a channel, and pages of it."""

from typing import Any, Final

from skyhooks.errors import StoreUnavailable
from skyhooks.publication import Publication
from skyhooks.store.base import Head, Page
from skyhooks.store.mongo.facet import Facet
from skyhooks.store.mongo.row import ROWS, Slot, slot_from, slot_of
from skyhooks.store.mongo.steps import Document, Steps, find
from skyhooks.store.mongo.tips import read_tips
from skyhooks.store.paging import up_to

AGAIN: Final = 5
"""How often a page is read when retention gets in between."""


class Pages(Facet):
    """The reading of a `LogStore`."""

    def head(self, channel: str) -> Steps[Head | None]:
        """See `LogStore.head`."""
        tip = (yield from read_tips([channel])).get(channel)
        return Head(tip.epoch, tip.offset, tip.fence, tip.cursor) if tip else None

    def read(self, channel: str, after: int, limit: int = 500, size: int = 1 << 20) -> Steps[Page]:
        """See `LogStore.read`."""
        for _ in range(AGAIN):
            page = yield from _read_once(channel, after, limit, size)
            if page is not None:
                return page
        raise StoreUnavailable(f"{channel} changes faster than it can be read; ask again")


def _read_once(channel: str, after: int, limit: int, size: int) -> Steps[Page | None]:
    """A page, or None when it does not fit together.

    Rows with data are a run that ends at the head, and retention shortens it from its start. So a row that is missing
    between two is one that retention has just taken, or the start of another history: never a gap, read again.
    """
    rows: list[Document] = yield find(
        ROWS,
        _with_data(channel, after),
        size=size,
        projection=_SHOWN[slot_of(channel)],
        sort=_order(channel),
        limit=limit,
    )
    slots = [slot_from(row[slot_of(channel)]) for row in rows]
    tip = slots[-1] if slots else None
    if tip is None or len(rows) == limit or sum(len(row["data"]) for row in rows) > size:
        # There may be more, or nothing: only now is the newest row asked for, so that it is not older than the page.
        tip = (yield from read_tips([channel])).get(channel)
    if tip is None:
        return None if slots else Page("", 0, after)
    if any(slot.epoch != tip.epoch or slot.offset != slots[0].offset + n for n, slot in enumerate(slots)):
        return None
    if not slots:
        # A newest row with data was appended since; nothing else can be there.
        return None if tip.offset > after and not tip.bare else Page(tip.epoch, tip.offset, max(after, tip.offset))
    publications = up_to(size, [_publication(row, slot) for row, slot in zip(rows, slots, strict=True)])
    return Page(tip.epoch, tip.offset, slots[0].offset - 1, publications)


def _with_data(channel: str, after: int) -> Document:
    name = slot_of(channel)
    return {f"{name}.channel": channel, f"{name}.offset": {"$gt": after}, f"{name}.bare": {"$exists": False}}


def _order(channel: str) -> list[tuple[str, int]]:
    return [(f"{slot_of(channel)}.offset", 1)]


_SHOWN: Final = {"t": ["id", "data", "control", "t"], "a": ["id", "data", "control", "a"]}


def _publication(row: dict[str, Any], slot: Slot) -> Publication:
    return Publication(row["id"], slot.offset, row["data"], row.get("control", False))
