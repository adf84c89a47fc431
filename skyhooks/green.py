"""A store for greenlets: its calls run in the threadpool of gevent's hub, so that a commit does not stop every other
greenlet.

Only SQLite needs it; a store that is reached over a socket yields by itself once gevent has patched sockets.
"""

import sys
from collections.abc import Callable
from typing import Any, cast

from skyhooks.store.base import Store


class GreenStore:
    """The store behind it, with every method called in a native thread of the hub's pool."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._store, name)
        if not callable(value):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            return _in_threadpool(lambda: value(*args, **kwargs))

        return call


def for_this_process(store: Store) -> Store:
    """`store` itself, or a `GreenStore` of it where gevent has patched this process."""
    return cast(Store, GreenStore(store)) if store.url.startswith("sqlite:") and patched() else store


def patched() -> bool:
    """Whether gevent has replaced threads by greenlets in this process. Does not import gevent."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _in_threadpool(call: Callable[[], Any]) -> Any:
    from gevent import get_hub

    def caught() -> tuple[bool, Any]:
        # The pool would print the traceback of an exception that leaves a call.
        try:
            return True, call()
        except BaseException as error:
            return False, error

    good, value = get_hub().threadpool.apply(caught)
    if not good:
        raise value
    return value
