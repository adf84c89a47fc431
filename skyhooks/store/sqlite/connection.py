"""One connection to the store's file: transactions, and the lock that puts writers in a queue.

Every writer, in whatever thread or process, first takes a blocking ``flock`` on ``<file>.lock`` and then ``BEGIN
IMMEDIATE``: the kernel wakes waiters one after the other, where SQLite's busy handler sleeps and lets some starve. The
lock of SQLite still decides; the queue in front of it only makes waiting fair.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from skyhooks.store.sqlite import schema

BUSY_SECONDS: Final = 5.0
"""How long a program that does not know of the queue (the ``sqlite3`` shell, a backup) may hold SQLite's own lock."""


class Connection:
    """A connection to the file at `path`, which exists. It is used by one thread at a time.

    Raises `sqlite3.Error`, `OSError` and `StoreUnusable` (see `schema.is_made`), and so do its methods.
    `seen_version` and `seen_mark` are notes of `skyhooks.store.sqlite.log.SqliteLog.news`.
    """

    def __init__(self, path: str) -> None:
        self.seen_version = -1
        self.seen_mark = -1
        self._path = path
        self._lock = -1
        status = os.stat(path)
        self._file = (status.st_dev, status.st_ino)
        self.db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self.db.execute("PRAGMA synchronous = FULL")
            if not schema.is_made(self.db, path):
                with self._queued():
                    if not schema.is_made(self.db, path):
                        schema.make(self.db)
        except BaseException:
            self.close()
            raise

    def moved(self) -> bool:
        """Whether the file has left its path: what is written here would be lost."""
        try:
            status = os.stat(self._path)
        except OSError:
            return True
        return (status.st_dev, status.st_ino) != self._file

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One view of the store for several statements."""
        self.db.execute("BEGIN")
        yield self.db
        self.db.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, durable once this ends without an error. After an error the connection must be closed."""
        with self._queued():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            finally:
                # Before the queue moves on: the next writer must not meet our lock.
                if self.db.in_transaction:
                    self.db.close()

    @contextmanager
    def _queued(self) -> Iterator[None]:
        if self._lock < 0:
            self._lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Said aloud, because a forked child may hold the same open file.
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the file up; what was not committed is rolled back."""
        self.db.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
