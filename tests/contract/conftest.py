"""The stores that the contract holds for. A new one joins by being a parameter here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from skyhooks.store.base import Store
from skyhooks.store.memory import MemoryStore
from skyhooks.store.mongo import AsyncMongoStore, MongoStore
from skyhooks.store.sqlite import SqliteStore
from tests.contract.awaited import Awaited
from tests.contract.clock import Clock
from tests.mongod import StillTime, empty


@pytest.fixture
def clock() -> Clock:
    """The store's clock: time passes when a test says so."""
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "mongo", "mongo-async"])
def store(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    opened: Store
    if request.param == "memory":
        opened = MemoryStore(clock)
    elif request.param == "sqlite":
        opened = SqliteStore(str(tmp_path / "s.db"), clock)
    else:
        url = empty(request.getfixturevalue("mongodb"), "contract")
        time = StillTime(clock)
        opened = MongoStore(url, time) if request.param == "mongo" else Awaited(lambda: AsyncMongoStore(url, time))
    yield opened
    opened.close()
