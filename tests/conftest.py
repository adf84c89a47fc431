"""Fixtures that every kind of test shares."""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.mongod import ReplicaSet, replica_set
from tests.processes import Process, free_ports

Spawn = Callable[..., Process]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it runs in the background with Ctrl-C ignored, and programs inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def free_port() -> Callable[..., int]:
    """`free_port()` is a port on loopback that nobody listens on; `free_port(2)` the first of two neighbours."""
    return free_ports


@pytest.fixture(scope="session")
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaSet]:
    """A MongoDB replica set of one member."""
    with replica_set(tmp_path_factory.mktemp("mongod")) as running:
        yield running


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """`spawn(argv, env={}, cwd=None)` starts a real program; whatever is left of it is killed after the test."""
    with ExitStack() as stack:

        def start(argv: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Process:
            process = Process(argv, env, cwd)
            stack.callback(lambda: print(f"--- {' '.join(argv)}\n{process.output}"))  # shown when the test has failed
            stack.callback(process.close)
            return process

        yield start
