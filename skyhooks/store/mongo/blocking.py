"""The store for callers that may block: workers, the command line, other programs.

A client of pymongo must not cross a fork (https://www.mongodb.com/docs/languages/python/pymongo-driver/current/faq/):
each process makes its own at its first call. What a parent had open is kept and never touched in the child, because
even closing it would speak on the parent's connections.
"""

import os
import time
from collections.abc import Callable
from contextlib import closing
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from bson import Timestamp
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import PyMongoError

from skyhooks.store.mongo.client import DURABLE, Opened
from skyhooks.store.mongo.clock import Clock
from skyhooks.store.mongo.core import Core
from skyhooks.store.mongo.schema import prepare
from skyhooks.store.mongo.steps import DATABASE, Ask, Document, Found, Pause, Steps, Talk

P = ParamSpec("P")
T = TypeVar("T")


class _Process:
    """What one process has of the store. `seen` is the server's time of the last call that succeeded here."""

    def __init__(self, client: MongoClient[Document], database: str, clock: Clock) -> None:
        self.client = client
        self.database: Database[Document] = client.get_database(database, **DURABLE)
        self.core = Core(clock)
        self.seen = Timestamp(0, 1)
        self.prepared = False


def _blocking(method: Callable[Concatenate[Core, P], Steps[T]]) -> Callable[Concatenate["MongoStore", P], T]:
    @wraps(method)
    def run(store: "MongoStore", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return store._run(lambda core: method(core, *args, **kwargs))

    return run


class MongoStore(Opened):
    """A `Store` at a ``mongodb://`` URL. Opening it connects to nothing; `clock` is the server's.

    Raises `StoreUnusable` for a URL that cannot work.
    """

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        super().__init__(url, clock)
        self._processes: dict[int, _Process] = {}

    append = _blocking(Core.append)
    head = _blocking(Core.head)
    read = _blocking(Core.read)
    news = _blocking(Core.news)
    trim = _blocking(Core.trim)
    lease = _blocking(Core.lease)
    release = _blocking(Core.release)
    leases = _blocking(Core.leases)
    add_hook = _blocking(Core.add_hook)
    remove_hook = _blocking(Core.remove_hook)
    hooks = _blocking(Core.hooks)
    sweep_hooks = _blocking(Core.sweep_hooks)
    put_result = _blocking(Core.put_result)
    get_result = _blocking(Core.get_result)
    delete_result = _blocking(Core.delete_result)
    sweep_results = _blocking(Core.sweep_results)
    add_journal = _blocking(Core.add_journal)
    journal = _blocking(Core.journal)
    trim_journal = _blocking(Core.trim_journal)
    add_deadlines = _blocking(Core.add_deadlines)
    overdue = _blocking(Core.overdue)
    settle_deadlines = _blocking(Core.settle_deadlines)

    def close(self) -> None:
        """See `Store.close`."""
        self._closed = True
        if mine := self._processes.pop(os.getpid(), None):
            mine.client.close()

    def _run(self, make: Callable[[Core], Steps[T]]) -> T:
        with self._asking():
            mine = self._process()
            with mine.client.start_session(causal_consistency=True) as session:
                session.advance_operation_time(mine.seen)
                if not mine.prepared:
                    _perform(prepare(), mine.database, session)
                    mine.prepared = True
                result = _perform(make(mine.core), mine.database, session)
                mine.seen = max(mine.seen, session.operation_time or mine.seen)
                return result

    def _process(self) -> _Process:
        mine = self._processes.get(os.getpid())
        if mine is None:
            client: MongoClient[Document] = MongoClient(self._place.url, **self._options())
            # Two threads may come here at once; the client that loses was never connected.
            mine = self._processes.setdefault(os.getpid(), _Process(client, self._place.database, self._clock))
        return mine


def _perform(steps: Steps[T], database: Database[Document], session: ClientSession) -> T:
    talk = Talk(steps)
    with closing(steps):
        while talk.step:
            try:
                answer = _do(talk.step, database, session)
            except PyMongoError as error:
                talk.failed(error)
            else:
                talk.answered(answer)
    return talk.result


def _do(step: Ask | Pause, database: Database[Document], session: ClientSession) -> Any:
    if isinstance(step, Pause):
        return time.sleep(step.seconds)
    subject: Any = database if step.collection == DATABASE else database[step.collection]
    answer = getattr(subject, step.method)(*step.arguments, session=session, **step.options)
    if not step.many:
        return answer
    found = Found(step.size)
    with answer:
        for document in answer:
            if found.is_enough(document):
                break
    return found.documents
