"""The store in a SQLite file: durable, for every process of one machine, with nothing to install."""

import time
from collections.abc import Callable

from skyhooks.store.sqlite.database import Database
from skyhooks.store.sqlite.deadlines import SqliteDeadlines
from skyhooks.store.sqlite.hooks import SqliteHooks
from skyhooks.store.sqlite.journal import SqliteJournal
from skyhooks.store.sqlite.leases import SqliteLeases
from skyhooks.store.sqlite.log import SqliteLog
from skyhooks.store.sqlite.results import SqliteResults
from skyhooks.store.sqlite.retention import SqliteRetention


class SqliteStore(SqliteLog, SqliteRetention, SqliteLeases, SqliteHooks, SqliteResults, SqliteJournal, SqliteDeadlines):
    """A `Store` in the file at the absolute `path`, which is made by the first call.

    `clock` gives the store's time in seconds since 1970; all processes on the file use the clock of their machine.
    """

    def __init__(self, path: str, clock: Callable[[], float] = time.time) -> None:
        super().__init__(Database(path, clock))
        self.url = f"sqlite://{path}"

    def close(self) -> None:
        """See `Store.close`."""
        self._database.close()
