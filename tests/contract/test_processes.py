"""Several processes on one store; for the stores that outlive a process."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from skyhooks.store import open_store
from skyhooks.store.base import Store
from tests.contract.appender import append_batches, append_for_ever, append_shared
from tests.contract.drafts import ACME
from tests.mongod import empty

SPAWN = get_context("spawn")
PROCESSES = 3


@pytest.fixture(params=["sqlite", "mongo"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the processes meet; nothing is there yet."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/s.db"
    return empty(request.getfixturevalue("mongodb"), "processes")


def history(store: Store) -> dict[str, int]:
    """Every publication of the account, after a check that there is no hole and none is double."""
    found: list[tuple[str, int]] = []
    while page := store.read(ACME, len(found), limit=1000).publications:
        found += [(publication.id, publication.offset) for publication in page]
    assert [offset for _, offset in found] == list(range(1, len(found) + 1))
    assert len(dict(found)) == len(found)
    return dict(found)


def test_processes_share_one_history(url: str) -> None:
    with ProcessPoolExecutor(PROCESSES, SPAWN) as pool:
        running = [pool.submit(append_batches, url, str(n), 40, 4) for n in range(PROCESSES)]
        told = [one for process in running for one in process.result()]
    store = open_store(url)
    assert history(store) == {name: offset for name, _, offset in told}
    assert len(told) == PROCESSES * 160
    assert len({epoch for _, epoch, _ in told}) == 1
    for n in range(PROCESSES):
        ids = [publication.id for publication in store.read(f"tasks/{n}", 0).publications]
        assert ids == [f"{n}-{batch}-{i}" for batch in range(40) for i in range(4)]
    store.close()


def test_one_id_appended_by_all_processes_is_stored_once(url: str) -> None:
    with ProcessPoolExecutor(PROCESSES, SPAWN) as pool:
        told = [one.result() for one in [pool.submit(append_shared, url, 100) for _ in range(PROCESSES)]]
    assert sum(status == "stored" for process in told for status, _ in process) == 100
    assert len({tuple(offset for _, offset in process) for process in told}) == 1
    store = open_store(url)
    assert len(history(store)) == 100
    store.close()


def test_what_another_process_appends_is_news(url: str) -> None:
    store = open_store(url)
    mark = store.news(None).mark
    with ProcessPoolExecutor(1, SPAWN) as pool:
        pool.submit(append_batches, url, "a", 1, 2).result()
        news = store.news(mark)
        assert {name: position.offset for name, position in news.heads.items()} == {ACME: 2, "tasks/a": 2}
        assert store.news(news.mark).heads == {}
        pool.submit(append_batches, url, "b", 1, 1).result()
        assert set(store.news(news.mark).heads) == {ACME, "tasks/b"}
    store.close()


def drain(reader: Connection) -> list[tuple[str, int]]:
    told = []
    try:
        while True:
            told += reader.recv()
    except EOFError:
        return told


def test_what_a_killed_process_was_told_is_stored(url: str) -> None:
    told: list[tuple[str, int]] = []
    for kill in range(4):
        reader, writer = SPAWN.Pipe(duplex=False)
        process = SPAWN.Process(target=append_for_ever, args=(url, str(kill), writer))
        process.start()
        writer.close()
        # Killed after one more batch each time, at whatever point it has reached by then.
        told += [one for _ in range(10 + kill) for one in reader.recv()]
        process.kill()
        told += drain(reader)
        process.join()
        assert process.exitcode == -9
    store = open_store(url)
    found = history(store)
    assert {name: found.get(name) for name, _ in told} == dict(told)
    # No more than the batch under way may be there without having been told, and that one as a whole.
    assert len(found) - len(told) in (0, 5, 10, 15, 20)
    store.close()
