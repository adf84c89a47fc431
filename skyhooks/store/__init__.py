"""The stores, by URL: ``memory://``, ``sqlite:///absolute/path.db``, ``mongodb://…``. One spelling everywhere."""

import os
import posixpath
import pwd
from collections.abc import Callable, Mapping
from typing import Final

from skyhooks.errors import StoreUnusable
from skyhooks.store.base import AsyncStore, Store
from skyhooks.store.memory import MemoryStore
from skyhooks.store.sqlite import SqliteStore

__all__ = ["default_url", "open_async_store", "open_store"]

_MONGO: Final = ("mongodb", "mongodb+srv")
_FORMS: Final = "memory://, sqlite:///absolute/path.db or mongodb://host/database"


def open_store(url: str) -> Store:
    """The store at `url`. Nothing is connected or made before the first call to it.

    Raises `StoreUnusable` for a URL that names no store; the message does not repeat passwords.
    """
    scheme = url.partition(":")[0]
    opener = _OPENERS.get(scheme)
    if opener is None:
        raise StoreUnusable(f"a store is {_FORMS}; got {_shown(url)}")
    return opener(url)


def open_async_store(url: str) -> AsyncStore:
    """The store at `url` for asyncio: MongoDB has a client for it, the others are called in threads.

    Raises `StoreUnusable`, as `open_store` does.
    """
    # Neither asyncio nor pymongo before it is needed, as in `_open_mongo`.
    if url.partition(":")[0] in _MONGO:
        from skyhooks.store.mongo import AsyncMongoStore

        return AsyncMongoStore(url)
    from skyhooks.store.threaded import ThreadedStore

    return ThreadedStore(open_store(url))


def default_url(environ: Mapping[str, str]) -> str:
    """The store's URL when no other is given: ``SKYHOOKS_STORE``, else a file in the XDG state folder of the user.

    https://specifications.freedesktop.org/basedir-spec/latest/ (a relative ``XDG_STATE_HOME`` is ignored).
    """
    if given := environ.get("SKYHOOKS_STORE"):
        return given
    state = environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        home = environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
        state = os.path.join(home, ".local", "state")
    return f"sqlite://{os.path.join(state, 'skyhooks', 'skyhooks.db')}"


def _open_memory(url: str) -> Store:
    if url != "memory://":
        raise StoreUnusable(f"the store in memory is memory:// and nothing more; got {_shown(url)}")
    return MemoryStore()


def _open_sqlite(url: str) -> Store:
    rest = url.removeprefix("sqlite://")
    if rest == url or not rest.startswith("/") or rest.endswith("/"):
        raise StoreUnusable(f"a SQLite store names its file absolutely, sqlite:///absolute/path.db; got {_shown(url)}")
    if "?" in rest or "#" in rest or "\0" in rest:
        raise StoreUnusable(f"a SQLite store takes no options, sqlite:///absolute/path.db; got {_shown(url)}")
    return SqliteStore("/" + posixpath.normpath(rest).lstrip("/"))


def _open_mongo(url: str) -> Store:
    # Not before it is needed: pymongo loads sockets and threads, which gevent must have patched first.
    from skyhooks.store.mongo import MongoStore

    return MongoStore(url)


def _shown(url: str) -> str:
    scheme, separator, rest = url[:200].partition("://")
    return repr(scheme + separator + rest.rpartition("@")[2])


_OPENERS: Final[Mapping[str, Callable[[str], Store]]] = {
    "memory": _open_memory,
    "sqlite": _open_sqlite,
    **dict.fromkeys(_MONGO, _open_mongo),
}
