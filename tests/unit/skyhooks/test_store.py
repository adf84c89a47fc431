"""Stores by their URL."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skyhooks.errors import StoreUnusable
from skyhooks.store import default_url, open_async_store, open_store
from skyhooks.store.memory import MemoryStore
from skyhooks.store.sqlite import SqliteStore


def test_memory_is_a_store_of_its_own_each_time() -> None:
    first, second = open_store("memory://"), open_store("memory://")
    assert isinstance(first, MemoryStore)
    assert first is not second
    assert first.url == "memory://"


@pytest.mark.parametrize(
    ("url", "spelled"),
    [
        ("sqlite:///tmp/a.db", "sqlite:///tmp/a.db"),
        ("sqlite:////tmp/a.db", "sqlite:///tmp/a.db"),
        ("sqlite:///tmp//x/../a b.db", "sqlite:///tmp/a b.db"),
    ],
)
def test_a_sqlite_store_has_one_spelling(url: str, spelled: str) -> None:
    store = open_store(url)
    assert isinstance(store, SqliteStore)
    assert store.url == spelled


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://relative.db",
        "sqlite://./relative.db",
        "sqlite:relative.db",
        "sqlite:///",
        "sqlite:///tmp/",
        "sqlite://",
        "sqlite",
        "sqlite:///tmp/a.db?mode=ro",
    ],
)
def test_a_sqlite_url_must_name_a_file_absolutely(url: str) -> None:
    with pytest.raises(StoreUnusable, match=r"sqlite:///absolute/path\.db"):
        open_store(url)


@pytest.mark.parametrize(
    "url",
    ["", "/tmp/a.db", "redis://localhost", "memory://x", "memory", "SQLITE:///a"],
)
def test_what_names_no_store_is_told_the_accepted_forms(url: str) -> None:
    with pytest.raises(StoreUnusable, match="memory://"):
        open_store(url)


@pytest.mark.parametrize("url", ["postgres://u:hunter2@h/db", "mongodb://u:hunter2@h/d.b", "sqlite://u:hunter2@x"])
def test_a_password_is_not_repeated(url: str) -> None:
    with pytest.raises(StoreUnusable) as caught:
        open_store(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["mongodb", "mongodb:", "mongodb://", "mongodb+srv:", "mongodb://h/d.b", "mongodb://h?w"]
)
def test_a_mongodb_url_must_name_a_host_and_what_a_database_can_be_called(url: str) -> None:
    with pytest.raises(StoreUnusable, match="mongodb://user:password@host"):
        open_store(url)


def test_a_mongodb_store_shows_its_url_without_the_password() -> None:
    assert open_store("mongodb://u:hunter2@h1,h2:1/db?w=2").url == "mongodb://u:**@h1,h2:1/db?w=2"


async def test_a_gateways_store_is_the_same_store() -> None:
    for url in ("memory://", "sqlite:///tmp/a.db", "mongodb://h/db"):
        store = open_async_store(url)
        assert store.url == open_store(url).url
        await store.close()


def test_opening_a_store_in_a_file_loads_nothing_that_gevent_must_patch_first() -> None:
    code = "import sys; from skyhooks.store import open_store; open_store('sqlite:////tmp/a.db')"
    check = "print(sorted({'asyncio', 'pymongo', 'ssl'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", f"{code}; {check}"], text=True) == "[]\n"


def test_opening_touches_nothing(tmp_path: Path) -> None:
    open_files = len(os.listdir("/proc/self/fd"))
    store = open_store(f"sqlite://{tmp_path}/a/b.db")
    assert list(tmp_path.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) == open_files
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_the_environment_names_the_default_store() -> None:
    assert default_url({"SKYHOOKS_STORE": "memory://", "HOME": "/home/me"}) == "memory://"


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"HOME": "/home/me"}, "sqlite:///home/me/.local/state/skyhooks/skyhooks.db"),
        ({"HOME": "/home/me", "XDG_STATE_HOME": "/state"}, "sqlite:///state/skyhooks/skyhooks.db"),
        ({"HOME": "/home/me", "XDG_STATE_HOME": "state"}, "sqlite:///home/me/.local/state/skyhooks/skyhooks.db"),
        ({"HOME": "/home/me", "SKYHOOKS_STORE": ""}, "sqlite:///home/me/.local/state/skyhooks/skyhooks.db"),
    ],
)
def test_otherwise_it_is_a_file_in_the_state_folder(environ: dict[str, str], url: str) -> None:
    assert default_url(environ) == url


def test_without_a_home_the_password_database_knows_it() -> None:
    assert default_url({}).startswith("sqlite:///")
