"""The store for asyncio: the blocking contract, called in threads of its own.

Writes have one thread, so that batches form while a commit runs; reads have another, so that a replay never waits
behind a commit.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from skyhooks.channel import Retention
from skyhooks.publication import Draft, Outcome
from skyhooks.store.base import Deadline, Head, Hook, JournalEntry, Lease, News, Page, Store, Trimmed

P = ParamSpec("P")
T = TypeVar("T")


class ThreadedStore:
    """An `AsyncStore` around a blocking one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writer = ThreadPoolExecutor(1, "store-write")
        self._reader = ThreadPoolExecutor(2, "store-read")

    @property
    def url(self) -> str:
        """Where the store is."""
        return self._store.url

    async def append(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """See `LogStore.append`."""
        return await self._run(self._writer, self._store.append, drafts)

    async def head(self, channel: str) -> Head | None:
        """See `LogStore.head`."""
        return await self._run(self._reader, self._store.head, channel)

    async def read(self, channel: str, after: int, limit: int = 500, size: int = 1 << 20) -> Page:
        """See `LogStore.read`."""
        return await self._run(self._reader, self._store.read, channel, after, limit, size)

    async def news(self, mark: int | None) -> News:
        """See `LogStore.news`."""
        return await self._run(self._reader, self._store.news, mark)

    async def changes(self) -> AsyncIterator[None]:
        """See `AsyncStore.changes`: a file tells nobody that it has grown."""
        if False:  # what makes it an iterator
            yield

    async def trim(self, namespace: str, retention: Retention, limit: int = 1000) -> Trimmed:
        """See `LogStore.trim`."""
        return await self._run(self._writer, self._store.trim, namespace, retention, limit)

    async def lease(self, name: str, holder: str, ttl: float, info: str = "{}") -> Lease | None:
        """See `LeaseStore.lease`."""
        return await self._run(self._writer, self._store.lease, name, holder, ttl, info)

    async def release(self, name: str, holder: str, term: int) -> bool:
        """See `LeaseStore.release`."""
        return await self._run(self._writer, self._store.release, name, holder, term)

    async def leases(self, prefix: str) -> list[Lease]:
        """See `LeaseStore.leases`."""
        return await self._run(self._reader, self._store.leases, prefix)

    async def add_hook(self, hook: Hook) -> Hook:
        """See `HookStore.add_hook`."""
        return await self._run(self._writer, self._store.add_hook, hook)

    async def remove_hook(self, hook_id: str) -> bool:
        """See `HookStore.remove_hook`."""
        return await self._run(self._writer, self._store.remove_hook, hook_id)

    async def hooks(self, keys: Mapping[str, str] | None = None, kind: str | None = None) -> list[Hook]:
        """See `HookStore.hooks`."""
        return await self._run(self._reader, self._store.hooks, keys, kind)

    async def sweep_hooks(self, age: float = 3600.0) -> int:
        """See `HookStore.sweep_hooks`."""
        return await self._run(self._writer, self._store.sweep_hooks, age)

    async def sweep_results(self, limit: int = 1000) -> int:
        """See `ResultStore.sweep_results`."""
        return await self._run(self._writer, self._store.sweep_results, limit)

    async def add_journal(self, entries: Sequence[JournalEntry]) -> None:
        """See `JournalStore.add_journal`."""
        await self._run(self._writer, self._store.add_journal, entries)

    async def journal(
        self, account: str | None = None, since: float = 0.0, limit: int = 1000, task_id: str | None = None
    ) -> list[JournalEntry]:
        """See `JournalStore.journal`."""
        return await self._run(self._reader, self._store.journal, account, since, limit, task_id)

    async def trim_journal(self, age: float) -> int:
        """See `JournalStore.trim_journal`."""
        return await self._run(self._writer, self._store.trim_journal, age)

    async def add_deadlines(self, deadlines: Sequence[Deadline]) -> None:
        """See `DeadlineStore.add_deadlines`."""
        await self._run(self._writer, self._store.add_deadlines, deadlines)

    async def overdue(self, limit: int = 100) -> list[Deadline]:
        """See `DeadlineStore.overdue`."""
        return await self._run(self._reader, self._store.overdue, limit)

    async def settle_deadlines(self, deadlines: Sequence[Deadline]) -> None:
        """See `DeadlineStore.settle_deadlines`."""
        await self._run(self._writer, self._store.settle_deadlines, deadlines)

    async def close(self) -> None:
        """Let running calls end, then close the store."""
        await asyncio.to_thread(self._shut)

    def _shut(self) -> None:
        self._writer.shutdown()
        self._reader.shutdown()
        self._store.close()

    async def _run(self, pool: ThreadPoolExecutor, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, partial(call, *args, **kwargs))
