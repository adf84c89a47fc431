"""Group commit: while one commit runs, what arrives next gathers into the following batch."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from skyhooks.errors import Refused, StoreError
from skyhooks.publication import Draft, Outcome
from skyhooks.store.base import AsyncStore

log = structlog.get_logger()

Committed = Callable[[Sequence[Draft], Sequence[Outcome]], None]


class _Waiting:
    __slots__ = ("done", "drafts", "size")

    def __init__(self, drafts: Sequence[Draft], done: "asyncio.Future[list[Outcome]]") -> None:
        self.drafts = drafts
        self.done = done
        self.size = sum(len(draft.data) for draft in drafts)


class Appender:
    """The only way into the log of this node.

    `committed` is called with the drafts and outcomes of each commit before anyone is answered. `count` drafts go
    into one commit; beyond `size` bytes waiting, more is refused.
    """

    def __init__(self, store: AsyncStore, committed: Committed, *, count: int, size: int) -> None:
        self._store = store
        self._committed = committed
        self._count = count
        self._size = size
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None

    async def append(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """Commit drafts, in this order, and answer for each.

        Raises `StoreUnavailable` when the store could not do it, `Refused` (503, ``busy``) when too much waits
        already.
        """
        waiting = _Waiting(drafts, asyncio.get_running_loop().create_future())
        if self._waiting and self._bytes + waiting.size > self._size:
            raise Refused("busy", "too much waits to be committed; try again", 503, {"Retry-After": "1"})
        self._waiting.append(waiting)
        self._bytes += waiting.size
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="appender")
        return await waiting.done

    async def close(self) -> None:
        """Wait until everything that was accepted has been answered."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._commit(self._take())
        finally:
            self._task = None

    def _take(self) -> list[_Waiting]:
        """The next batch: whole requests, at least one, up to the limit."""
        batch = [self._waiting.popleft()]
        count = len(batch[0].drafts)
        while self._waiting and count + len(self._waiting[0].drafts) <= self._count:
            batch.append(self._waiting.popleft())
            count += len(batch[-1].drafts)
        self._bytes -= sum(waiting.size for waiting in batch)
        return batch

    async def _commit(self, batch: list[_Waiting]) -> None:
        drafts = [draft for waiting in batch for draft in waiting.drafts]
        try:
            outcomes = await self._store.append(drafts)
            self._committed(drafts, outcomes)
        except Exception as error:
            if not isinstance(error, StoreError):
                log.exception("commit_failed", drafts=len(drafts))
            for waiting in batch:
                if not waiting.done.done():
                    waiting.done.set_exception(error)
            return
        start = 0
        for waiting in batch:
            end = start + len(waiting.drafts)
            if not waiting.done.done():
                waiting.done.set_result(outcomes[start:end])
            start = end
