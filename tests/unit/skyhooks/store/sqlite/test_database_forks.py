"""Stores of processes that fork, and of programs that gevent has patched."""

import ctypes
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from skyhooks.store.sqlite import SqliteStore
from tests.contract.drafts import ACME, draft
from tests.contract.history import ids
from tests.unit.skyhooks.store.sqlite.descriptors import open_files

T = TypeVar("T")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(str(path))
    yield store
    store.close()


def append_from(store: SqliteStore, name: str, count: int) -> list[str]:
    return [store.append([draft(f"{name}-{n}")])[0].status for n in range(count)]


def in_fork(call: Callable[[], T]) -> T:
    """What `call` returns in a forked child."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, pickle.dumps(call()))
        except BaseException as error:  # the child must not run the rest of the tests
            os.write(writer, pickle.dumps(repr(error)))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told: T = pickle.loads(pipe.read())
    os.waitpid(child, 0)
    return told


def test_a_forked_child_inherits_nothing_and_opens_its_own(store: SqliteStore, path: Path) -> None:
    store.append([draft("parent")])
    store.news(None)
    assert in_fork(lambda: open_files(path)) == []
    assert in_fork(lambda: store.append([draft("child")])[0].positions[ACME].offset) == 2
    assert store.append([draft("parent again")])[0].positions[ACME].offset == 3
    assert ids(store) == ["parent", "child", "parent again"]


def test_a_child_forked_past_pythons_hooks_opens_its_own(store: SqliteStore) -> None:
    store.append([draft("parent")])
    reader, writer = os.pipe()
    child = ctypes.PyDLL(None).fork()
    if child == 0:
        found = len(store._database._pool().idle)
        os.write(writer, b"%d inherited, %s" % (found, store.append([draft("child")])[0].status.encode()))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == b"0 inherited, stored"
    os.waitpid(child, 0)
    assert ids(store) == ["parent", "child"]


def test_a_fork_waits_for_the_calls_of_other_threads(store: SqliteStore, path: Path) -> None:
    inside, leave = threading.Event(), threading.Event()

    def call() -> None:
        with store._database.writing():
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=call)
    thread.start()
    assert inside.wait(30)
    threading.Timer(0.05, leave.set).start()
    assert in_fork(lambda: open_files(path)) == []
    thread.join(30)


def test_parent_and_children_append_at_once(store: SqliteStore) -> None:
    stop = threading.Event()
    counts = [0, 0]

    def run(thread: int) -> None:
        while not stop.is_set():
            store.append([draft(f"parent-{thread}-{counts[thread]}")])
            counts[thread] += 1

    threads = [threading.Thread(target=run, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for child in range(5):
        told = in_fork(partial(append_from, store, str(child), 20))
        assert told == ["stored"] * 20
    stop.set()
    for thread in threads:
        thread.join(30)
    expected = {f"{child}-{n}" for child in range(5) for n in range(20)}
    expected |= {f"parent-{thread}-{n}" for thread in range(2) for n in range(counts[thread])}
    assert sorted(ids(store)) == sorted(expected)


GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys, gevent
from skyhooks.store import open_store
from tests.contract.drafts import ACME, draft

store = open_store(sys.argv[1])
pool = gevent.get_hub().threadpool
ticks = []

def tick():
    while True:
        ticks.append(1)
        gevent.sleep(0.001)

ticker = gevent.spawn(tick)
jobs = [pool.spawn(lambda n=n: store.append([draft(str(n))])[0].positions[ACME].offset) for n in range(200)]
offsets = sorted(job.get(timeout=60) for job in jobs)
ticker.kill()
child = gevent.os.fork()
if child == 0:
    import os
    os._exit(0 if store.append([draft("child")])[0].positions[ACME].offset == 201 else 1)
import os
_, status = os.waitpid(child, 0)
print(offsets == list(range(1, 201)), store.head(ACME).offset, status, len(ticks) > 2)
"""


def test_native_threads_of_a_patched_gevent_program_share_a_store(path: Path) -> None:
    root = Path(__file__).parents[5]
    done = subprocess.run(
        [sys.executable, "-c", GEVENT, f"sqlite://{path}"], cwd=root, capture_output=True, text=True, timeout=90
    )
    assert (done.stdout, done.returncode) == ("True 201 0 True\n", 0), done.stderr
