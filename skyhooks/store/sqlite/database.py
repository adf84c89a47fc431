"""The store's file as this process has it open: connections lent to one thread at a time, none before the first call.

Rules of SQLite that shape this (https://www.sqlite.org/howtocorrupt.html):

- A connection must not cross a fork, not even to be closed in the child; SQLite's notes about the locks of its process
  would be wrong there for new connections too. So before each fork the connections are given up and calls wait, and a
  process never touches what another one has opened.
- Any thread may use a connection, one at a time. Idle ones lie in a deque, whose ends are safe to use without a lock:
  under gevent the calling threads are native ones while `threading` is patched for greenlets.

After a failure every idle connection is given up: each may have settled on what was wrong (a file that was read-only
when it was opened stays so for SQLite), and the next call shall find out anew.
"""

import os
import sqlite3
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from skyhooks.errors import StoreError, StoreUnavailable
from skyhooks.store.sqlite.connection import Connection
from skyhooks.store.sqlite.failure import creation_failure, file_failure, sqlite_failure
from skyhooks.store.sqlite.place import make_file, refuse_network

FORK_SECONDS: Final = 10.0
"""How long a fork waits for calls that are under way."""
_MAX_IDLE: Final = 8


class _Pool:
    """What one process has: idle connections for reading and writing, idle ones that only watch, calls under way."""

    __slots__ = ("calls", "idle", "watching")

    def __init__(self) -> None:
        self.calls: set[object] = set()
        self.idle: deque[Connection] = deque()
        self.watching: deque[Connection] = deque()

    def drop(self) -> None:
        for idle in (self.idle, self.watching):
            with suppress(IndexError):
                while True:
                    idle.pop().close()


class Database:
    """The SQLite file at the absolute `path`; `clock` gives the store's time in seconds since 1970."""

    def __init__(self, path: str, clock: Callable[[], float]) -> None:
        self.path = path
        self.clock = clock
        self._pools: dict[int, _Pool] = {}
        self._forking = False
        self._closed = False
        self._found = False
        before, after = weakref.WeakMethod(self._before_fork), weakref.WeakMethod(self._after_fork)
        os.register_at_fork(before=_weakly(before), after_in_parent=_weakly(after), after_in_child=_weakly(after))

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One view of the store. Raises `StoreUnavailable` and `StoreUnusable`, as all methods do."""
        with self._call() as pool, self._lent(pool, pool.idle) as connection, connection.reading() as db:
            yield db

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, durable once this ends without an error."""
        with self._call() as pool, self._lent(pool, pool.idle) as connection, connection.writing() as db:
            yield db

    @contextmanager
    def watching(self) -> Iterator[Connection]:
        """A connection that never writes, so that ``PRAGMA data_version`` on it shows the commits of all others."""
        with self._call() as pool, self._lent(pool, pool.watching) as connection:
            yield connection

    def close(self) -> None:
        """Give up the idle connections now, and those in use when their calls end."""
        self._closed = True
        self._pool().drop()

    def _pool(self) -> _Pool:
        return self._pools.setdefault(os.getpid(), _Pool())

    @contextmanager
    def _call(self) -> Iterator[_Pool]:
        """Count a call as under way, unless a fork is."""
        if self._closed:
            raise StoreUnavailable(f"the store {self.path} has been closed")
        pool, call = self._pool(), object()
        try:
            pool.calls.add(call)
            while self._forking:
                # The fork may be looking already; one of the two sees the other.
                pool.calls.discard(call)
                time.sleep(0.001)
                pool.calls.add(call)
            yield pool
        finally:
            pool.calls.discard(call)

    @contextmanager
    def _lent(self, pool: _Pool, idle: deque[Connection]) -> Iterator[Connection]:
        connection = None
        try:
            connection = self._take(idle)
            yield connection
        except BaseException as error:
            if connection is not None:
                connection.close()
            failure = _failure(self.path, error)
            if failure is None:
                raise
            pool.drop()
            raise failure from error
        if self._closed or len(idle) >= _MAX_IDLE:
            connection.close()
        else:
            idle.append(connection)

    def _take(self, idle: deque[Connection]) -> Connection:
        with suppress(IndexError):
            while True:
                connection = idle.pop()
                if not connection.moved():
                    return connection
                connection.close()
        return self._connect()

    def _connect(self) -> Connection:
        if not self._found:
            refuse_network(self.path)
            try:
                make_file(self.path)
            except OSError as error:
                raise creation_failure(self.path, error) from error
        # From here on a file that is missing was taken away: a fresh one would hide that results are lost.
        connection = Connection(self.path)
        self._found = True
        return connection

    def _before_fork(self) -> None:
        self._forking = True
        pool = self._pool()
        deadline = time.monotonic() + FORK_SECONDS
        while pool.calls and time.monotonic() < deadline:
            time.sleep(0.001)
        pool.drop()

    def _after_fork(self) -> None:
        self._forking = False


def _failure(path: str, error: BaseException) -> StoreError | None:
    if isinstance(error, sqlite3.Error):
        return sqlite_failure(path, error)
    return file_failure(path, error) if isinstance(error, OSError) else None


def _weakly(method: weakref.WeakMethod[Callable[[], None]]) -> Callable[[], None]:
    def call() -> None:
        if (bound := method()) is not None:
            bound()

    return call
