"""The file as a process has it open: when it cannot be used, and when it can again."""

import os
import resource
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest

from skyhooks.errors import StoreError, StoreUnavailable, StoreUnusable
from skyhooks.store.sqlite import SqliteStore, connection
from tests.contract.drafts import ACME, draft
from tests.contract.history import ids
from tests.contract.outage import read_only
from tests.unit.skyhooks.store.sqlite.descriptors import open_files

SPAWN = get_context("spawn")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(str(path))
    yield store
    store.close()


def append_at_last(store: SqliteStore, name: str) -> str:
    """Append as a patient caller does; a connection may have to be found unfit first."""
    try:
        return store.append([draft(name)])[0].status
    except StoreUnavailable:
        return store.append([draft(name)])[0].status


def test_every_connection_waits_for_the_disk(store: SqliteStore) -> None:
    store.append([draft("1")])
    with store._database.writing() as db, store._database.reading() as other:
        assert [one.execute("PRAGMA synchronous").fetchone()[0] for one in (db, other)] == [2, 2]


def test_files_are_private(store: SqliteStore, path: Path) -> None:
    store.append([draft("1")])
    names = sorted(path.parent.iterdir())
    assert [name.name for name in names] == ["s.db", "s.db-shm", "s.db-wal", "s.db.lock"]
    assert {name.stat().st_mode & 0o777 for name in names} == {0o600}


def test_a_read_only_store_refuses_writes_answers_reads_and_recovers(store: SqliteStore, path: Path) -> None:
    store.append([draft("before")])
    with read_only(path):
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="readonly"):
                store.append([draft("during")])
            assert ids(store) == ["before"]
    assert append_at_last(store, "after") == "stored"
    assert ids(store) == ["before", "after"]


def test_a_store_that_begins_while_the_file_is_read_only_recovers(store: SqliteStore, path: Path) -> None:
    store.append([draft("before")])
    late = SqliteStore(str(path))
    with read_only(path):
        assert ids(late) == ["before"]
        with pytest.raises(StoreUnavailable):
            late.append([draft("during")])
    assert append_at_last(late, "after") == "stored"
    late.close()


def test_one_failure_renews_every_connection_that_the_outage_has_seen(store: SqliteStore, path: Path) -> None:
    store.append([draft("before")])
    barrier = threading.Barrier(4)

    def read() -> None:
        with store._database.reading() as db:
            barrier.wait(30)
            db.execute("SELECT count(*) FROM publication").fetchone()
            barrier.wait(30)

    with read_only(path):
        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert append_at_last(store, "after") == "stored"


def test_appenders_that_try_again_lose_and_double_nothing_over_an_outage(store: SqliteStore, path: Path) -> None:
    store.append([draft("first")])
    refused, over = threading.Event(), threading.Event()

    def run(thread: int) -> None:
        n = 0
        while not (over.is_set() and n >= 50):
            try:
                store.append([draft(f"{thread}-{n}")])
                n += 1
            except StoreUnavailable:
                refused.set()
        counts[thread] = n

    counts = {0: 0, 1: 0}
    threads = [threading.Thread(target=run, args=(n,)) for n in counts]
    for thread in threads:
        thread.start()
    with read_only(path):
        assert refused.wait(30)
    over.set()
    for thread in threads:
        thread.join(60)
    expected = {f"{thread}-{n}" for thread, count in counts.items() for n in range(count)} | {"first"}
    assert sorted(ids(store)) == sorted(expected)


def fill_the_disk(path: str) -> tuple[list[str], str]:
    """Append until nothing more fits, then with room again. What was acknowledged, and what the failure said."""
    store = SqliteStore(path)
    store.append([draft("first")])
    acknowledged = ["first"]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    said = ""
    for n in range(1000):
        try:
            store.append([draft(f"p{n}", data=b"x" * 5000)])
            acknowledged.append(f"p{n}")
        except StoreUnavailable as error:
            said = str(error)
            break
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    store.append([draft("last")])
    store.close()
    return [*acknowledged, "last"], said


def test_a_disk_without_room_is_an_outage_that_loses_nothing(store: SqliteStore, path: Path) -> None:
    with SPAWN.Pool(1) as pool:
        acknowledged, said = pool.apply(fill_the_disk, (str(path),))
    assert "SQLite cannot use" in said
    assert 10 < len(acknowledged) < 100
    found = ids(store)
    assert [name for name in found if name in acknowledged] == acknowledged
    assert len(found) <= len(acknowledged) + 1


def test_a_lock_of_a_stranger_is_waited_for_and_then_an_outage(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.05)
    store.append([draft("1")])
    with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            store.append([draft("2")])
    assert store.append([draft("2")])[0].status == "stored"


def test_writers_take_turns_even_without_the_queue(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.head(ACME)
    monkeypatch.setattr("fcntl.flock", lambda *_: None)

    def run(name: str) -> None:
        for n in range(50):
            store.append([draft(f"{name}-{n}")])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, "ab"))
    assert sorted(ids(store)) == sorted(f"{name}-{n}" for name in "ab" for n in range(50))


def test_a_file_that_is_taken_away_is_an_outage_and_not_begun_anew(store: SqliteStore, path: Path) -> None:
    store.append([draft("1")])
    away = path.with_suffix(".away")
    path.rename(away)
    with pytest.raises(StoreUnavailable, match="No such file"):
        store.append([draft("2")])
    assert not path.exists()
    away.rename(path)
    assert store.append([draft("2")])[0].positions[ACME].offset == 2


def test_a_file_that_was_replaced_is_used_from_then_on(store: SqliteStore, path: Path, tmp_path: Path) -> None:
    store.append([draft("1"), draft("2")])
    mark = store.news(None).mark
    other = SqliteStore(f"{tmp_path}/other.db")
    (outcome,) = other.append([draft("3")])
    other.close()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").rename(f"{path}.old{suffix}")
    Path(f"{tmp_path}/other.db").rename(path)
    assert ids(store) == ["3"]
    assert store.news(mark).heads == outcome.positions


def test_a_folder_in_the_place_of_the_file_is_unusable(store: SqliteStore, path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreUnusable, match="folder"):
        store.head(ACME)


def test_a_file_in_the_place_of_the_folder_is_unusable(path: Path) -> None:
    path.touch()
    with pytest.raises(StoreUnusable):
        SqliteStore(f"{path}/s.db").head(ACME)


def test_a_closed_store_says_so(store: SqliteStore) -> None:
    store.append([draft("1")])
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.head(ACME)


def test_closing_leaves_no_file_open(store: SqliteStore, path: Path) -> None:
    store.append([draft("1")])
    store.news(None)
    assert open_files(path)
    store.close()
    assert open_files(path) == []


def test_an_idle_store_keeps_a_bounded_number_of_connections(store: SqliteStore) -> None:
    barrier = threading.Barrier(12)

    def read() -> None:
        with store._database.reading():
            barrier.wait(30)

    threads = [threading.Thread(target=read) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store._database._pool().idle) == 8


def as_nobody(folder: str) -> list[str]:
    """What a user without rights gets: in a folder of root's, and in one of his own whose rights are taken away."""
    if os.getuid() == 0:
        os.setuid(65534)
    said = [answer(SqliteStore(f"{folder}/x/s.db"))]
    own = Path(tempfile.mkdtemp())
    SqliteStore(f"{own}/s.db").append([draft("before")])
    shut(own, 0o500, 0o400)
    store = SqliteStore(f"{own}/s.db")
    said.append(answer(store))
    shut(own, 0o700, 0o600)
    said += [answer(store), answer(store)]
    shutil.rmtree(own)
    return said


def shut(folder: Path, folder_mode: int, file_mode: int) -> None:
    for name in folder.iterdir():
        name.chmod(file_mode)
    folder.chmod(folder_mode)


def answer(store: SqliteStore) -> str:
    try:
        return store.append([draft("1")])[0].status
    except StoreError as error:
        return type(error).__name__


def test_rights_that_are_missing_and_come_back(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with SPAWN.Pool(1) as pool:
        assert pool.apply(as_nobody, (str(tmp_path),)) == ["StoreUnusable", "StoreUnavailable", "stored", "duplicate"]
    tmp_path.chmod(0o700)
