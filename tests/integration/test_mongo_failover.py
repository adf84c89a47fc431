"""A replica set of three loses its primary, again and again, while threads and processes append to one channel."""

import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from multiprocessing.managers import SyncManager
from pathlib import Path

import pytest

from skyhooks.errors import StoreUnavailable
from skyhooks.publication import Position, Publication
from skyhooks.store import open_store
from skyhooks.store.base import Page, Store
from tests.integration.mongo_writer import ACME, Record, write
from tests.mongod import ReplicaSet, replica_set
from tests.processes import eventually

SPAWN = get_context("spawn")
THREADS = 3
PROCESSES = 2
STEP_DOWNS = 3


@pytest.fixture
def three(tmp_path: Path) -> Iterator[ReplicaSet]:
    """A replica set of three members."""
    with replica_set(tmp_path, members=3) as running:
        yield running


class Follower:
    """Reads a channel page by page while others write, and hears the news of it."""

    def __init__(self, url: str) -> None:
        self.seen: list[Publication] = []
        self.gaps: list[Page] = []
        self.heard: Position | None = None
        self._store = open_store(url)
        self._mark = self._store.news(None).mark
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        # One more look, now that nobody writes any more.
        self._look()
        self._store.close()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            try:
                self._look()
            except StoreUnavailable:
                continue

    def _look(self) -> None:
        news = self._store.news(self._mark)
        self._mark = news.mark
        self.heard = news.heads.get(ACME, self.heard)
        while (page := self._store.read(ACME, len(self.seen))).publications:
            if page.after != len(self.seen):
                self.gaps.append(page)
            self.seen += page.publications


def history(store: Store) -> list[Publication]:
    found: list[Publication] = []
    while page := store.read(ACME, len(found), limit=1000).publications:
        found += page
    return found


def trouble(three: ReplicaSet, manager: SyncManager, url: str) -> list[Record]:
    """Let writers write while the primary steps down, and then dies; what each was told."""
    stop = manager.Event()
    started = [manager.Event() for _ in range(THREADS + PROCESSES)]
    with ThreadPoolExecutor(THREADS) as threads, ProcessPoolExecutor(PROCESSES, SPAWN) as processes:
        writers = [threads.submit(write, url, f"thread{n}", stop, started[n]) for n in range(THREADS)]
        writers += [processes.submit(write, url, f"process{n}", stop, started[THREADS + n]) for n in range(PROCESSES)]
        try:
            eventually(lambda: all(one.is_set() for one in started), what="every writer has written")
            for _ in range(STEP_DOWNS):
                three.step_down()
                grows(url)
            three.kill_primary(alone=0.3)
            grows(url)
        finally:
            stop.set()
        return [writer.result() for writer in writers]


def grows(url: str) -> None:
    """Wait until the account has grown by some more batches of everyone."""
    store = open_store(url)
    wanted = head(store) + 40 * (THREADS + PROCESSES)
    eventually(lambda: head(store) >= wanted, what="appends go on")
    store.close()


def head(store: Store) -> int:
    try:
        newest = store.head(ACME)
    except StoreUnavailable:
        return 0
    return newest.offset if newest else 0


@pytest.mark.timeout(180)
@pytest.mark.parametrize("retried", ["true", "false"])
def test_nothing_is_lost_doubled_or_reordered_while_the_primary_changes(three: ReplicaSet, retried: str) -> None:
    """With ``retryWrites`` pymongo repeats most of what had no answer; without it the store must find out itself."""
    url = three.url("failover", retryWrites=retried)
    with ExitStack() as stack:
        follower = Follower(url)
        stack.callback(follower.stop)
        records = trouble(three, stack.enter_context(SPAWN.Manager()), url)
    store = open_store(url)
    found = history(store)
    told = {one.id: one.offset for record in records for one in record.told}

    assert [publication.offset for publication in found] == list(range(1, len(found) + 1))
    assert len({publication.id for publication in found}) == len(found)
    assert {publication.id: publication.offset for publication in found} == told
    for record in records:
        offsets = [one.offset for one in record.told]
        assert offsets == sorted(offsets)
        # What was asked again may have been stored the first time; everything else was stored when it was told.
        assert record.repeated or {one.status for one in record.told} == {"stored"}
    assert follower.gaps == []
    assert follower.seen == found
    newest = store.head(ACME)
    assert newest is not None
    assert follower.heard == newest.position
    for record in records:
        name = record.told[0].id.partition("-")[0]
        own = [publication.id for publication in store.read(f"tasks/{name}", 0, limit=100_000).publications]
        assert own == [one.id for one in record.told]
    store.close()
