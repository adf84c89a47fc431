"""``GET /api/journal``: what happened to results, for people to look at."""

import re
import time
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from gateway.api.handler import ApiHandler
from skyhooks.channel import account_name, task_channel
from skyhooks.errors import Refused, shown
from skyhooks.store.base import JournalEntry

SINCE_PATTERN: Final = r"[0-9]{1,12}(?:\.[0-9]{1,9})?[smhd]?"
MOST: Final = 10_000
"""Entries in one answer."""
DEFAULT_LIMIT: Final = 1000
DEFAULT_SINCE: Final = "1d"
LATEST: Final = 253_402_300_799.0
"""The end of the year 9999, in seconds since 1970: MongoDB's driver has no later dates, and nothing is that new."""

_SINCE = re.compile(rf"{SINCE_PATTERN}\Z")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class JournalReader(Protocol):
    """What the handler needs of the store."""

    async def journal(
        self, account: str | None = None, since: float = 0.0, limit: int = 1000, task_id: str | None = None
    ) -> list[JournalEntry]:
        """See `JournalStore.journal`."""
        ...


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened: what (``finished``, ``stored``, ``sent``), where, and when in seconds since 1970.

    `node` is the gateway that says so, or the worker. `data` depends on the event.
    """

    at: float
    event: str
    node: str
    account: str = ""
    task_id: str = ""
    data: msgspec.Raw


class Entries(msgspec.Struct, frozen=True):
    """Entries, oldest first. `more`: there may be later ones; ask again with the last one's `at` as ``since``."""

    entries: list[Entry]
    more: bool


class JournalHandler(ApiHandler):
    """``GET /api/journal``."""

    def initialize(  # type: ignore[override]  # what its route carries
        self, journal: JournalReader, clock: Callable[[], float] = time.time
    ) -> None:
        """Called by Tornado with what the route carries; `clock` gives seconds since 1970."""
        self.journal = journal
        self.clock = clock

    async def get(self) -> None:
        """The entries of an account, of a task, or of all; by default those of the last day."""
        asked = self.query(("account", "since", "task", "limit"))
        account = account_name(asked["account"]) if "account" in asked else None
        task_id = task_channel(asked["task"]).partition("/")[2] if "task" in asked else None
        since = read_since(asked.get("since", DEFAULT_SINCE), self.clock())
        limit = read_limit(asked.get("limit", str(DEFAULT_LIMIT)))
        found = await self.journal.journal(account, since, limit, task_id)
        self.answer(Entries([_entry(one) for one in found], len(found) == limit))

    head = get


def read_since(text: str, now: float) -> float:
    """A time in seconds since 1970: ``1764000000.5`` is one, ``90s``, ``15m``, ``1h`` and ``7d`` are that long ago.

    Raises `Refused` (``bad_query``).
    """
    if not _SINCE.match(text):
        raise Refused("bad_query", f"since is seconds since 1970, or a while such as 90s, 15m, 1h; got {shown(text)}")
    if text[-1] in _SECONDS:
        return max(0.0, now - float(text[:-1]) * _SECONDS[text[-1]])
    return min(float(text), LATEST)


def read_limit(text: str) -> int:
    """How many entries are wanted. Raises `Refused` (``bad_query``)."""
    if not text.isascii() or not text.isdigit() or len(text) > 6 or not 1 <= int(text) <= MOST:
        raise Refused("bad_query", f"limit is 1 to {MOST}; got {shown(text)}")
    return int(text)


def _entry(one: JournalEntry) -> Entry:
    return Entry(
        at=one.at,
        event=one.event,
        node=one.node,
        account=one.account,
        task_id=one.task_id,
        data=msgspec.Raw(one.data.encode()),
    )
