"""The store in MongoDB across forks, and under gevent."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from skyhooks.publication import Draft
from skyhooks.store import open_store
from skyhooks.store.base import Store
from tests.mongod import ReplicaSet, empty
from tests.processes import Process

ACME = "accounts/acme"


def append(store: Store, name: str) -> None:
    store.append([Draft(id=name, channels=(ACME,), data=b"1")])


def in_child(act: Callable[[], None]) -> int:
    """Do something in a forked child; its exit code."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        act()
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)
    os._exit(0)


def test_a_store_works_on_in_a_child_and_in_its_parent(mongodb: ReplicaSet) -> None:
    store = open_store(empty(mongodb, "forks"))
    append(store, "parent")
    for n in range(3):
        assert in_child(lambda n=n: append(store, f"child{n}")) == 0
        append(store, f"parent{n}")
    # A child that closes its store takes nothing from its parent.
    assert in_child(store.close) == 0
    append(store, "last")
    ids = [publication.id for publication in store.read(ACME, 0).publications]
    assert ids == ["parent", "child0", "parent0", "child1", "parent1", "child2", "parent2", "last"]
    store.close()


def test_each_process_has_connections_of_its_own(mongodb: ReplicaSet) -> None:
    store = open_store(empty(mongodb, "forks"))
    append(store, "parent")
    before = sockets()

    def look() -> None:
        append(store, "child")
        assert sockets() - before, "the child speaks on the connections of its parent"

    assert in_child(look) == 0
    append(store, "parent again")
    store.close()


def sockets() -> set[str]:
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def test_greenlets_share_a_store(mongodb: ReplicaSet) -> None:
    program = Path(__file__).with_name("mongo_greenlets.py")
    process = Process([sys.executable, str(program), empty(mongodb, "greenlets")])
    try:
        assert process.wait() == 0, process.output
    finally:
        process.close()
    said = json.loads(process.lines[-1])
    assert said["offsets"] == list(range(1, 20 * 5 + 5 + 1))
    assert said["others run"]
