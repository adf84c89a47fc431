"""The store for asyncio: a gateway. It belongs to the event loop of its first call."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import closing
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from bson import Timestamp
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from skyhooks.errors import StoreUnavailable
from skyhooks.store.mongo.client import DURABLE, Opened
from skyhooks.store.mongo.clock import Clock
from skyhooks.store.mongo.core import Core
from skyhooks.store.mongo.row import ROWS
from skyhooks.store.mongo.schema import prepare
from skyhooks.store.mongo.steps import DATABASE, Ask, Document, Found, Pause, Steps, Talk

AWAIT_MS: Final = 500
"""For how long the server waits for a change before it says that there was none."""
_INSERTS: Final[list[Document]] = [{"$match": {"operationType": "insert"}}, {"$project": {"_id": 1}}]

P = ParamSpec("P")
T = TypeVar("T")


def _awaitable(
    method: Callable[Concatenate[Core, P], Steps[T]],
) -> Callable[Concatenate["AsyncMongoStore", P], Coroutine[Any, Any, T]]:
    @wraps(method)
    async def run(store: "AsyncMongoStore", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await store._run(lambda core: method(core, *args, **kwargs))

    return run


class AsyncMongoStore(Opened):
    """An `AsyncStore` at a ``mongodb://`` URL. Opening it connects to nothing; `clock` is the server's.

    Raises `StoreUnusable` for a URL that cannot work.
    """

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        super().__init__(url, clock)
        self._core = Core(self._clock)
        self._client: AsyncMongoClient[Document] | None = None
        self._seen = Timestamp(0, 1)
        self._prepared = False
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()

    append = _awaitable(Core.append)
    head = _awaitable(Core.head)
    read = _awaitable(Core.read)
    news = _awaitable(Core.news)
    trim = _awaitable(Core.trim)
    lease = _awaitable(Core.lease)
    release = _awaitable(Core.release)
    leases = _awaitable(Core.leases)
    add_hook = _awaitable(Core.add_hook)
    remove_hook = _awaitable(Core.remove_hook)
    hooks = _awaitable(Core.hooks)
    sweep_hooks = _awaitable(Core.sweep_hooks)
    put_result = _awaitable(Core.put_result)
    get_result = _awaitable(Core.get_result)
    delete_result = _awaitable(Core.delete_result)
    sweep_results = _awaitable(Core.sweep_results)
    add_journal = _awaitable(Core.add_journal)
    journal = _awaitable(Core.journal)
    trim_journal = _awaitable(Core.trim_journal)
    add_deadlines = _awaitable(Core.add_deadlines)
    overdue = _awaitable(Core.overdue)
    settle_deadlines = _awaitable(Core.settle_deadlines)

    async def changes(self) -> AsyncIterator[None]:
        """See `AsyncStore.changes`: the server's change stream, in which only the fact matters."""
        with self._asking():
            await self.head("")  # makes the client, and the collection with its indexes
            assert self._client is not None  # noqa: S101  # made by the call
            rows = self._client.get_database(self._place.database, **DURABLE)[ROWS]
            async with await rows.watch(_INSERTS, max_await_time_ms=AWAIT_MS) as stream:
                while not self._closed:
                    if await stream.try_next() is not None:
                        yield
        raise StoreUnavailable(f"the store {self._place} has been closed")

    async def close(self) -> None:
        """Let running calls end, then give up the connections. Closing it again does nothing."""
        self._closed = True
        await self._idle.wait()
        if self._client is not None:
            await self._client.close()

    async def _run(self, make: Callable[[Core], Steps[T]]) -> T:
        with self._asking():
            self._calls += 1
            self._idle.clear()
            try:
                return await self._call(make)
            finally:
                self._calls -= 1
                if not self._calls:
                    self._idle.set()

    async def _call(self, make: Callable[[Core], Steps[T]]) -> T:
        if self._client is None:
            self._client = AsyncMongoClient(self._place.url, **self._options())
        database: AsyncDatabase[Document] = self._client.get_database(self._place.database, **DURABLE)
        async with self._client.start_session(causal_consistency=True) as session:
            session.advance_operation_time(self._seen)
            if not self._prepared:
                await _perform(prepare(), database, session)
                self._prepared = True
            result = await _perform(make(self._core), database, session)
            self._seen = max(self._seen, session.operation_time or self._seen)
            return result


async def _perform(steps: Steps[T], database: AsyncDatabase[Document], session: AsyncClientSession) -> T:
    talk = Talk(steps)
    with closing(steps):
        while talk.step:
            try:
                answer = await _do(talk.step, database, session)
            except PyMongoError as error:
                talk.failed(error)
            else:
                talk.answered(answer)
    return talk.result


async def _do(step: Ask | Pause, database: AsyncDatabase[Document], session: AsyncClientSession) -> Any:
    if isinstance(step, Pause):
        return await asyncio.sleep(step.seconds)
    subject: Any = database if step.collection == DATABASE else database[step.collection]
    answer = getattr(subject, step.method)(*step.arguments, session=session, **step.options)
    if asyncio.iscoroutine(answer):
        answer = await answer
    if not step.many:
        return answer
    found = Found(step.size)
    async with answer:
        async for document in answer:
            if found.is_enough(document):
                break
    return found.documents
