"""Makes a SQLite store's file read-only for a while, truly and for every process, root included, without any privilege.

Permissions do not stop root, and a remount needs rights that containers lack. But SQLite has a switch in the file
itself: when the write version in byte 18 of the header is above 2, every program must treat the file as read-only
(https://www.sqlite.org/fileformat2.html, 1.3.2). Writers then get SQLITE_READONLY, as on a read-only disk, and readers
go on. This holds the write lock while it turns the switch, so that no transaction is caught in the middle.

It runs as a process of its own: closing the file in a process that has it open in SQLite would drop SQLite's locks.
"""

import fcntl
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

WRITE_VERSION = 18
READ_ONLY, WRITABLE = b"\3", b"\2"
SECONDS = 10.0


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """Have every write to the store at `path` fail while this lasts.

    After it a call may still fail once, on a connection that was opened or used in the meantime.
    """
    _in_process(path, "off")
    try:
        yield
    finally:
        _in_process(path, "on")


def _in_process(path: Path, writable: str) -> None:
    subprocess.run([sys.executable, __file__, str(path), writable], check=True, timeout=60)


def _stop_writes(path: str) -> None:
    with open(f"{path}.lock", "a") as lock, closing(sqlite3.connect(path, isolation_level=None)) as db:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # The header must be read from the file: first move everything there, then have all others see a new log.
        _checkpoint(db, "FULL")
        _set_version(path, READ_ONLY)
        _checkpoint(db, "TRUNCATE")


def _set_version(path: str, version: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.pwrite(descriptor, version, WRITE_VERSION)
    os.fsync(descriptor)
    # Left open: closing it would drop the locks of this process's own connection.


def _checkpoint(db: sqlite3.Connection, mode: str) -> None:
    deadline = time.monotonic() + SECONDS
    while db.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()[0]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"readers have held up the checkpoint for {SECONDS:g} s")
        time.sleep(0.01)


if __name__ == "__main__":
    if sys.argv[2] == "off":
        _stop_writes(sys.argv[1])
    else:
        _set_version(sys.argv[1], WRITABLE)
