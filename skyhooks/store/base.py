"""The contract of a store: the log, the leases, the registry's hooks, Celery's results, the journal, the deadlines.

Every implementation is blocking, safe to call from several threads and, except ``memory``, from several processes; a
gateway has it as an `AsyncStore`. Time is the store's own: no method takes the caller's
clock. One contract suite (``tests/contract``) runs against each implementation.

Every method raises `StoreUnavailable` when the store cannot do it now. After that nothing is known of what was asked:
it may have been done. Every write can therefore be repeated without harm (a journal entry is then there twice).
`StoreUnusable` is raised by the first call that touches the store, not by opening it, and by each one after that.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from skyhooks.channel import Retention
from skyhooks.publication import Draft, Outcome, Position, Publication


class Head(msgspec.Struct, frozen=True):
    """The newest row of a channel: its position, the fence it was written under and its feed's cursor.

    `cursor` is the last one that a draft brought: rows without one carry it on, as they do the epoch.
    """

    epoch: str
    offset: int
    fence: int = 0
    cursor: str = ""

    @property
    def position(self) -> Position:
        """Where a subscriber stands who has seen everything."""
        return Position(self.epoch, self.offset)


class Page(msgspec.Struct, frozen=True):
    """A contiguous run of a channel: the publications at offsets after + 1, after + 2, …

    `after` is larger than what was asked for when retention has dropped the rows in between: that is the gap. It equals
    `head` when nothing later has data. `epoch` is empty and `head` 0 for a channel that has no history.
    """

    epoch: str
    head: int
    after: int
    publications: tuple[Publication, ...] = ()


class News(msgspec.Struct, frozen=True):
    """Channels that have grown since a mark, with their newest positions, and the mark to ask from next time.

    A mark means something only to the store that gave it.
    """

    mark: int
    heads: dict[str, Position] = {}


class Trimmed(msgspec.Struct, frozen=True):
    """What one round of retention did: rows that lost their data, rows that were forgotten altogether.

    A row counts in its channel: a publication in two channels is two rows.
    """

    stripped: int = 0
    forgotten: int = 0


class Lease(msgspec.Struct, frozen=True):
    """A name that one holder has for a while.

    `term` grows by one whenever the name changes hands or is taken anew after it ran out or was given up. `left` is the
    number of seconds until the store lets it go, by the store's clock, at the time of the answer. `info` is JSON about
    the holder.
    """

    name: str
    holder: str
    term: int
    left: float
    info: str = "{}"


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """A URL that wants to know of everything for a key.

    It matches data whose keys include all of `keys`. Kind ``gateway`` lives as long as the lease ``nodes/<node>``; kind
    ``endpoint`` lives until it is removed.
    """

    id: str
    kind: Literal["gateway", "endpoint"]
    keys: dict[str, str]
    url: str
    node: str = ""


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a publication: `at` is seconds since 1970 by the store's clock, set by the store."""

    event: str
    node: str
    account: str = ""
    task_id: str = ""
    data: str = "{}"
    at: float = 0.0


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """By when a submitted task has to have ended (``deadline``) or begun (``expired``): `seconds` after it was added.

    A task has at most one for each reason. `task` is the task's name; `age` is the number of seconds for which the
    store has had it, by the store's clock, at the time of the answer.
    """

    task_id: str
    reason: Literal["deadline", "expired"]
    seconds: float
    account: str = ""
    task: str = ""
    age: float = 0.0


class LogStore(Protocol):
    """Channels and their publications."""

    def append(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """Store drafts in this order and answer for each, once it is durable.

        Per draft, decided together with its insertion and in the light of the drafts before it:

        1. its id is already in one of its channels: ``duplicate``, with the positions that it has in them;
        2. it has a task mark, and the task's channel (the first one) holds a publication with an end state:
           ``superseded``;
        3. it has a task mark with a run, that run is not the newest run of the task's channel (the run of its newest
           publication whose mark has one), and either the run was seen there before or its retries are fewer than
           that publication's: an older execution. ``superseded``, unless its state is SUCCESS;
        4. the newest row of one of its channels has a fence above the draft's: ``fenced``;
        5. otherwise it gets the next offset in each channel (the epoch is drawn with the first row): ``stored``.
        """
        ...

    def head(self, channel: str) -> Head | None:
        """The newest row of a channel, None for a channel without history."""
        ...

    def read(self, channel: str, after: int, limit: int = 500, size: int = 1 << 20) -> Page:
        """Up to `limit` publications after offset `after`, and no more than `size` bytes of data (at least one)."""
        ...

    def news(self, mark: int | None) -> News:
        """What has been appended since `mark`, by anyone; None only asks for a mark. Cheap when nothing has.

        A channel may be named more than once over time, never too few times.
        """
        ...

    def trim(self, namespace: str, retention: Retention, limit: int = 1000) -> Trimmed:
        """One round of retention over a namespace's channels, of at most `limit` rows; fewer mean that it is done.

        By ascending offset, and up to the first row that has to stay:

        - rows beyond count, size or age lose their data (`skyhooks.store.retention.spare_data`); the newest row only
          by its age;
        - rows without data are forgotten, id and all, once they are older than the dedupe window, counted from their
          appending; never the newest row, and none of a ``tasks`` channel;
        - a ``tasks`` channel goes as a whole once its newest row is past both age and dedupe window; appending to it
          again begins a new epoch.

        Data shared by two channels stays while either needs it, and each shows only what it needs itself.
        """
        ...


class LeaseStore(Protocol):
    """Names held for a while: one per node, one for the leader."""

    def lease(self, name: str, holder: str, ttl: float, info: str = "{}") -> Lease | None:
        """Take or renew a name for `ttl` seconds. None: somebody else holds it."""
        ...

    def release(self, name: str, holder: str, term: int) -> bool:
        """Give a name up; True when this holder held it under this term until now. Its term is remembered."""
        ...

    def leases(self, prefix: str) -> list[Lease]:
        """The leases in force whose names start with `prefix`, by name."""
        ...


class HookStore(Protocol):
    """The registry's rows."""

    def add_hook(self, hook: Hook) -> Hook:
        """Store a hook; one with the same kind, keys, URL and node is returned as it is instead."""
        ...

    def remove_hook(self, hook_id: str) -> bool:
        """Remove a hook; False when there is none with this id."""
        ...

    def hooks(self, keys: Mapping[str, str] | None = None, kind: str | None = None) -> list[Hook]:
        """The hooks that match `keys` (all of them without), oldest first; of the gateway kind only those of live
        nodes."""
        ...

    def sweep_hooks(self, age: float = 3600.0) -> int:
        """Remove gateway hooks that are older than `age` seconds and whose node has been gone that long; how many."""
        ...


class ResultStore(Protocol):
    """Celery's own results: opaque bytes under a key."""

    def put_result(self, key: str, value: bytes, ttl: float | None) -> None:
        """Store or replace a value, for `ttl` seconds (None: for ever)."""
        ...

    def get_result(self, key: str) -> bytes | None:
        """A value, None when there is none or its time has passed."""
        ...

    def delete_result(self, key: str) -> None:
        """Forget a value; nothing happens when there is none."""
        ...

    def sweep_results(self, limit: int = 1000) -> int:
        """Delete up to `limit` values whose time has passed; how many went."""
        ...


class JournalStore(Protocol):
    """What happened to publications, kept for people to look at. Losing it never delays a result."""

    def add_journal(self, entries: Sequence[JournalEntry]) -> None:
        """Store entries with the store's time."""
        ...

    def journal(
        self, account: str | None = None, since: float = 0.0, limit: int = 1000, task_id: str | None = None
    ) -> list[JournalEntry]:
        """Up to `limit` entries from `since` on, in seconds since 1970, oldest first.

        Only those of an account, and of a task, when these are given.
        """
        ...

    def trim_journal(self, age: float) -> int:
        """Delete entries older than `age` seconds; how many went."""
        ...


class DeadlineStore(Protocol):
    """When somebody has to look whether a submitted task has ended. A result on its way does not touch this."""

    def add_deadlines(self, deadlines: Sequence[Deadline]) -> None:
        """Store these; one that is there for its task and reason stays as it is, with its time."""
        ...

    def overdue(self, limit: int = 100) -> list[Deadline]:
        """Up to `limit` deadlines whose time has come, those that are due longest first."""
        ...

    def settle_deadlines(self, deadlines: Sequence[Deadline]) -> None:
        """Forget these (task and reason count); nothing happens for one that is not there."""
        ...


class Store(LogStore, LeaseStore, HookStore, ResultStore, JournalStore, DeadlineStore, Protocol):
    """All facets at one URL."""

    url: str

    def close(self) -> None:
        """Give up connections and files. The store is not used after that; closing it again does nothing."""
        ...


class AsyncStore(Protocol):
    """What a gateway needs of a store, awaitable. Each method is the one of `Store` with the same name."""

    @property
    def url(self) -> str:
        """Where the store is."""
        ...

    async def append(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """See `LogStore.append`."""
        ...

    async def head(self, channel: str) -> Head | None:
        """See `LogStore.head`."""
        ...

    async def read(self, channel: str, after: int, limit: int = 500, size: int = 1 << 20) -> Page:
        """See `LogStore.read`."""
        ...

    async def news(self, mark: int | None) -> News:
        """See `LogStore.news`."""
        ...

    def changes(self) -> AsyncIterator[None]:
        """Comes once for a while in which something may have been appended, by anyone: time to ask for news.

        Only a hint. Ends at once for a store that has no way to tell; raises `StoreUnavailable` when it cannot now.
        """
        ...

    async def trim(self, namespace: str, retention: Retention, limit: int = 1000) -> Trimmed:
        """See `LogStore.trim`."""
        ...

    async def lease(self, name: str, holder: str, ttl: float, info: str = "{}") -> Lease | None:
        """See `LeaseStore.lease`."""
        ...

    async def release(self, name: str, holder: str, term: int) -> bool:
        """See `LeaseStore.release`."""
        ...

    async def leases(self, prefix: str) -> list[Lease]:
        """See `LeaseStore.leases`."""
        ...

    async def add_hook(self, hook: Hook) -> Hook:
        """See `HookStore.add_hook`."""
        ...

    async def remove_hook(self, hook_id: str) -> bool:
        """See `HookStore.remove_hook`."""
        ...

    async def hooks(self, keys: Mapping[str, str] | None = None, kind: str | None = None) -> list[Hook]:
        """See `HookStore.hooks`."""
        ...

    async def sweep_hooks(self, age: float = 3600.0) -> int:
        """See `HookStore.sweep_hooks`."""
        ...

    async def sweep_results(self, limit: int = 1000) -> int:
        """See `ResultStore.sweep_results`."""
        ...

    async def add_journal(self, entries: Sequence[JournalEntry]) -> None:
        """See `JournalStore.add_journal`."""
        ...

    async def journal(
        self, account: str | None = None, since: float = 0.0, limit: int = 1000, task_id: str | None = None
    ) -> list[JournalEntry]:
        """See `JournalStore.journal`."""
        ...

    async def trim_journal(self, age: float) -> int:
        """See `JournalStore.trim_journal`."""
        ...

    async def add_deadlines(self, deadlines: Sequence[Deadline]) -> None:
        """See `DeadlineStore.add_deadlines`."""
        ...

    async def overdue(self, limit: int = 100) -> list[Deadline]:
        """See `DeadlineStore.overdue`."""
        ...

    async def settle_deadlines(self, deadlines: Sequence[Deadline]) -> None:
        """See `DeadlineStore.settle_deadlines`."""
        ...

    async def close(self) -> None:
        """Let running calls end, then give up connections and files."""
        ...
