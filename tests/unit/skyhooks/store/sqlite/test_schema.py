import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest

from skyhooks.errors import StoreUnusable
from skyhooks.store.base import Deadline
from skyhooks.store.sqlite import SqliteStore
from skyhooks.store.sqlite.schema import is_made, make
from tests.contract.drafts import ACME, draft


def change(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(sql)


def opened(path: Path) -> SqliteStore:
    return SqliteStore(str(path))


def test_an_empty_file_gets_our_tables(tmp_path: Path) -> None:
    (tmp_path / "s.db").touch()
    store = opened(tmp_path / "s.db")
    store.append([draft("1")])
    store.close()
    with closing(sqlite3.connect(tmp_path / "s.db")) as db:
        names = ("user_version", "application_id", "journal_mode")
        assert [db.execute(f"PRAGMA {name}").fetchone()[0] for name in names] == [1, 0x736B7968, "wal"]


def test_a_file_is_found_again(tmp_path: Path) -> None:
    store = opened(tmp_path / "s.db")
    (outcome,) = store.append([draft("1")])
    store.close()
    again = opened(tmp_path / "s.db")
    head = again.head(ACME)
    assert head is not None
    assert head.position == outcome.positions[ACME]
    again.close()


def test_tables_of_a_newer_version_are_left_alone(tmp_path: Path) -> None:
    store = opened(tmp_path / "s.db")
    store.append([draft("1")])
    store.close()
    change(tmp_path / "s.db", "PRAGMA user_version = 2")
    with pytest.raises(StoreUnusable, match="version 2"):
        opened(tmp_path / "s.db").append([draft("2")])


@pytest.mark.parametrize("sql", ["CREATE TABLE theirs (x)", "PRAGMA application_id = 7", "PRAGMA user_version = 1"])
def test_the_database_of_another_program_is_left_alone(tmp_path: Path, sql: str) -> None:
    change(tmp_path / "s.db", f"CREATE TABLE t (x); DROP TABLE t; {sql}")
    before = (tmp_path / "s.db").read_bytes()
    with pytest.raises(StoreUnusable, match="another program"):
        opened(tmp_path / "s.db").append([draft("1")])
    assert (tmp_path / "s.db").read_bytes() == before


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s.db").write_bytes(b"this is not a database, whatever it is" * 50)
    with pytest.raises(StoreUnusable, match="not a sound SQLite database"):
        opened(tmp_path / "s.db").head(ACME)
    assert (tmp_path / "s.db").read_bytes().startswith(b"this is not")


def test_tables_that_appear_while_one_looks_are_seen_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    change(path, "PRAGMA journal_mode = WAL")
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as one,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        made: list[str] = []

        def meanwhile(statement: str) -> None:
            if "application_id" in statement and not made:
                made.append(statement)
                make(other)

        one.set_trace_callback(meanwhile)
        assert is_made(one, str(path)) is False
        assert made
        assert is_made(one, str(path)) is True


def test_tables_are_made_once_by_stores_that_begin_together(tmp_path: Path) -> None:
    stores = [opened(tmp_path / "s.db") for _ in range(4)]
    barrier = Barrier(4)

    def begin(store: SqliteStore) -> int:
        barrier.wait(30)
        return store.append([draft(str(id(store)))])[0].positions[ACME].offset

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(begin, stores)) == [1, 2, 3, 4]
    for store in stores:
        store.close()


def test_a_file_of_before_the_newest_table_gets_it_and_keeps_what_it_has(tmp_path: Path) -> None:
    old = opened(tmp_path / "s.db")
    old.append([draft("1")])
    old.close()
    change(tmp_path / "s.db", "DROP TABLE deadline")
    store = opened(tmp_path / "s.db")
    store.add_deadlines([Deadline(task_id="t1", reason="deadline", seconds=0)])
    assert [one.task_id for one in store.overdue()] == ["t1"]
    assert [one.id for one in store.read(ACME, 0).publications] == ["1"]
    store.close()
