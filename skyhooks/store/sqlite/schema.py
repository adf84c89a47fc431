"""The tables of a SQLite store and their version.

A publication's data is kept once; each of its channels has a slot for it. A slot outlives the data as the tombstone
that keeps the id. Everything about the end of a channel stands in its own row, so that an append reads one
row a channel.
"""

import sqlite3
from typing import Final

from skyhooks.errors import StoreUnusable

VERSION: Final = 1
APPLICATION: Final = 0x736B7968
"""``PRAGMA application_id`` of our files: "skyh"."""

_NEWEST: Final = "deadline_due"
"""What was added last: where it is, everything is."""

_TABLES: Final = """
-- mark: grows over the whole store, never used again. holders: slots that still need the data.
CREATE TABLE IF NOT EXISTS publication (
    mark INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB NOT NULL, control INTEGER NOT NULL, holders INTEGER NOT NULL
);
-- Slots exist for the offsets from base + 1 to head; up to floor their data is gone. kept: bytes of data after floor.
-- oldest, newest: when the slots floor + 1 and head were appended. mark: of the newest publication.
-- ended, run, retries: the TaskHistory of a task's channel.
CREATE TABLE IF NOT EXISTS channel (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, namespace TEXT NOT NULL, epoch TEXT NOT NULL,
    base INTEGER NOT NULL, floor INTEGER NOT NULL, head INTEGER NOT NULL, kept INTEGER NOT NULL,
    fence INTEGER NOT NULL, cursor TEXT NOT NULL, mark INTEGER NOT NULL,
    oldest REAL NOT NULL, newest REAL NOT NULL,
    ended INTEGER NOT NULL, run TEXT NOT NULL, retries INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS channel_namespace ON channel (namespace);
CREATE INDEX IF NOT EXISTS channel_mark ON channel (mark);
CREATE TABLE IF NOT EXISTS slot (
    channel INTEGER NOT NULL, "offset" INTEGER NOT NULL, id TEXT NOT NULL, publication INTEGER NOT NULL,
    at REAL NOT NULL, run TEXT NOT NULL,
    PRIMARY KEY (channel, "offset"), UNIQUE (channel, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lease (
    name TEXT PRIMARY KEY, holder TEXT NOT NULL, term INTEGER NOT NULL, expires REAL NOT NULL, info TEXT NOT NULL
) WITHOUT ROWID;
-- anchor: the first of the hook's keys as name=value; whoever matches the hook has it.
CREATE TABLE IF NOT EXISTS hook (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, keys TEXT NOT NULL,
    url TEXT NOT NULL, node TEXT NOT NULL, at REAL NOT NULL, anchor TEXT NOT NULL,
    UNIQUE (anchor, keys, kind, url, node)
);
CREATE TABLE IF NOT EXISTS result (key TEXT PRIMARY KEY, value BLOB NOT NULL, expires REAL);
CREATE INDEX IF NOT EXISTS result_expires ON result (expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS journal (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, event TEXT NOT NULL, node TEXT NOT NULL,
    account TEXT NOT NULL, task_id TEXT NOT NULL, data TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS journal_at ON journal (at);
CREATE INDEX IF NOT EXISTS journal_account ON journal (account, at);
-- at: when it was added. due: at and its seconds.
CREATE TABLE IF NOT EXISTS deadline (
    task_id TEXT NOT NULL, reason TEXT NOT NULL, seconds REAL NOT NULL, account TEXT NOT NULL, task TEXT NOT NULL,
    at REAL NOT NULL, due REAL NOT NULL,
    PRIMARY KEY (task_id, reason)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deadline_due ON deadline (due);
"""


def is_made(db: sqlite3.Connection, path: str) -> bool:
    """Whether the file has our tables; False for an empty one, and for one of before the newest table.

    A table that is added leaves the version as it is: programs that do not know it go on beside those that do.

    Raises `StoreUnusable` for tables of another program or of a newer version.
    """
    # In one view: another process may be making the tables just now.
    db.execute("BEGIN")
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    application: int = db.execute("PRAGMA application_id").fetchone()[0]
    tables: int = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    newest: int = db.execute("SELECT count(*) FROM sqlite_schema WHERE name = ?", (_NEWEST,)).fetchone()[0]
    db.execute("COMMIT")
    if application == APPLICATION and version == VERSION:
        return bool(newest)
    if application == APPLICATION:
        raise StoreUnusable(
            f"{path} has version {version} of the tables, this skyhooks knows {VERSION}: upgrade skyhooks"
        )
    if version or application or tables:
        raise StoreUnusable(f"{path} is a SQLite database of another program; name another file")
    return False


def make(db: sqlite3.Connection) -> None:
    """Make the tables that are missing, in one transaction. The caller holds the write lock."""
    # The journal mode cannot change inside a transaction; it stays with the file.
    mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreUnusable(f"SQLite cannot keep a write-ahead log there (journal mode {mode}); name a local disk")
    db.executescript(
        f"BEGIN IMMEDIATE; {_TABLES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
    )
