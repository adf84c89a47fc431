"""What an error of SQLite or of the file system means for the caller: asked again later, never again, or our own bug.

Result codes: https://www.sqlite.org/rescode.html. A file that is there but cannot be written, read or locked may be
again in a moment (a full disk, a read-only mount, a taken lock), so that is unavailable. A file that is no database of
ours stays that way, and so does a place where the first file may not be made.
"""

import errno
import sqlite3

from skyhooks.errors import StoreError, StoreUnavailable, StoreUnusable

_UNUSABLE = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})
_UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)
_FORBIDDEN = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}
)


def sqlite_failure(path: str, error: sqlite3.Error) -> StoreError | None:
    """The store error that `error` stands for; None when it is a mistake in our own statements."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if code in _UNUSABLE:
        return StoreUnusable(
            f"{path} is not a sound SQLite database: {error} ({name}); restore it, or name another file"
        )
    if code in _UNAVAILABLE:
        return StoreUnavailable(f"SQLite cannot use {path} now: {error} ({name})")
    return None


def file_failure(path: str, error: OSError) -> StoreError:
    """The store error for a file that could not be opened, made or locked."""
    return StoreUnavailable(f"the store's file {path} cannot be used now: {error.strerror}")


def creation_failure(path: str, error: OSError) -> StoreError:
    """The store error for a first file, or its folder, that could not be made."""
    if error.errno in _FORBIDDEN:
        return StoreUnusable(
            f"the store's file {path} cannot be made: {error.strerror}; name a place that this user may write to"
        )
    return file_failure(path, error)
