import errno
import os
import sqlite3

import pytest

from skyhooks.errors import StoreUnavailable, StoreUnusable
from skyhooks.store.sqlite.failure import creation_failure, file_failure, sqlite_failure


def raised(sql: str, **options: bool) -> sqlite3.Error:
    """The error that SQLite really raises for a statement."""
    db = sqlite3.connect("file::memory:?mode=ro" if options.get("readonly") else ":memory:", uri=True)
    db.execute("CREATE TABLE t (x UNIQUE)")
    with pytest.raises(sqlite3.Error) as caught:
        db.executescript(sql)
    db.close()
    return caught.value


def test_a_full_database_is_unavailable() -> None:
    failure = sqlite_failure("/s.db", raised("PRAGMA max_page_count = 3; CREATE TABLE a(x); CREATE TABLE b(x)"))
    assert isinstance(failure, StoreUnavailable)
    assert "/s.db" in str(failure)
    assert "full" in str(failure)


def test_a_read_only_database_is_unavailable() -> None:
    assert isinstance(
        sqlite_failure("/s.db", raised("PRAGMA query_only = 1; INSERT INTO t VALUES (1)")), StoreUnavailable
    )


@pytest.mark.parametrize("sql", ["SELECT 1 FROM nowhere", "INSERT INTO t VALUES (1), (1)", "SELEC"])
def test_a_mistake_of_our_own_is_no_store_error(sql: str) -> None:
    assert sqlite_failure("/s.db", raised(sql)) is None


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR])
def test_a_place_where_no_file_may_be_made_is_unusable(code: int) -> None:
    failure = creation_failure("/s.db", OSError(code, os.strerror(code)))
    assert isinstance(failure, StoreUnusable)
    assert os.strerror(code) in str(failure)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EMFILE, errno.EIO])
def test_a_file_that_cannot_be_made_now_is_unavailable(code: int) -> None:
    assert isinstance(creation_failure("/s.db", OSError(code, os.strerror(code))), StoreUnavailable)


def test_a_file_that_was_there_is_unavailable_for_whatever_reason() -> None:
    assert isinstance(file_failure("/s.db", PermissionError(errno.EACCES, "Permission denied")), StoreUnavailable)
