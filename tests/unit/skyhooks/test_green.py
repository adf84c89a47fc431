"""A SQLite store under gevent: its calls do not stop other greenlets, and its errors arrive as they are."""

import sys
from pathlib import Path

from skyhooks.green import for_this_process, patched
from skyhooks.store import open_store
from tests.conftest import Spawn

CODE = """
import gevent.monkey
gevent.monkey.patch_all()
import fcntl, sys, gevent
from skyhooks.errors import StoreUnavailable
from skyhooks.green import GreenStore, for_this_process
from skyhooks.publication import Draft
from skyhooks.store import open_store

path = sys.argv[1]
store = for_this_process(open_store(f"sqlite://{path}"))
assert isinstance(store, GreenStore) and store.url == f"sqlite://{path}"
store.append([Draft(id="1", channels=("tasks/t",), data=b"1")])
lock = open(f"{path}.lock", "a")
fcntl.flock(lock, fcntl.LOCK_EX)
turns = []

def writes():
    store.append([Draft(id="2", channels=("tasks/t",), data=b"2")])
    turns.append("written")

writer = gevent.spawn(writes)
for _ in range(3):
    gevent.sleep(0.01)
    turns.append("turn")
fcntl.flock(lock, fcntl.LOCK_UN)
writer.get(timeout=10)
assert turns == ["turn", "turn", "turn", "written"], turns
assert [one.id for one in store.read("tasks/t", 0).publications] == ["1", "2"]
store.close()
try:
    store.head("tasks/t")
except StoreUnavailable:
    print("done", flush=True)
"""


def test_a_blocked_commit_does_not_stop_other_greenlets(spawn: Spawn, tmp_path: Path) -> None:
    process = spawn([sys.executable, "-c", CODE, str(tmp_path / "store.db")])

    process.wait_for("^done$")
    assert process.wait() == 0
    assert "Traceback" not in process.output


def test_without_gevent_a_store_stays_as_it_is(tmp_path: Path) -> None:
    store = open_store(f"sqlite://{tmp_path / 'store.db'}")

    assert not patched()
    assert for_this_process(store) is store
