"""Tells workers of an app that listens: its lease, and a hook for each account that has callbacks in it.

The lease says that this is an app, so that workers post it the results of those accounts and no others. All of it only
saves time: a callback hears of everything from the log, whoever took the result in.
"""

import threading
import time
from collections.abc import Callable

import msgspec
import structlog

from skyhooks.channel import ACCOUNTS, namespace_of
from skyhooks.errors import StoreError
from skyhooks.gateways import hooks_url
from skyhooks.registry import APP, hook_of, node_lease
from skyhooks.store.base import Hook, Lease, Store

log = structlog.get_logger()


class Announcer:
    """Registers the app `node_id`, whose webhooks go to `url` + ``/hooks``, for `ttl` seconds at a time.

    `listened` names the channels that have callbacks. An account stays registered for `linger` seconds after its last
    callback has gone, so that pages that reload do not write. `clock` is steady.
    """

    def __init__(
        self,
        store: Store,
        node_id: str,
        url: str,
        listened: Callable[[], set[str]],
        *,
        is_open: bool,
        ttl: float,
        linger: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._node_id = node_id
        self._url = hooks_url(url)
        self._info = msgspec.json.encode({"url": url, "open": is_open, "role": APP}).decode()
        self._listened = listened
        self._ttl = ttl
        self._linger = linger
        self._clock = clock
        self._lease: Lease | None = None
        self._hooks: dict[str, Hook] = {}
        self._last_used: dict[str, float] = {}
        self._wake = threading.Event()
        self._stopped = False

    def listening(self, channel: str) -> None:
        """A channel has a callback: if it is the first one, register without waiting for the next renewal."""
        if namespace_of(channel) == ACCOUNTS and channel not in self._hooks:
            self._wake.set()

    def run(self) -> None:
        """Renew until `stop`, then withdraw; an unavailable store is asked again at the next turn."""
        while not self._stopped:
            self._wake.clear()
            try:
                self.renew()
            except StoreError as error:
                log.warning("registration_failed", node=self._node_id, error=str(error))
            except Exception:
                log.exception("announcer_failed", node=self._node_id)
            self._wake.wait(self._ttl / 3)
        self.withdraw()

    def stop(self) -> None:
        """End `run` soon."""
        self._stopped = True
        self._wake.set()

    def renew(self) -> None:
        """Renew the lease, and make the hooks be those of the accounts that are listened to. Raises `StoreError`."""
        lease = self._store.lease(node_lease(self._node_id), self._node_id, self._ttl, self._info)
        if lease is None:
            log.error("node_id_taken", node=self._node_id, change="give each app a node_id of its own")
        self._lease = lease
        now = self._clock()
        listened = {name for name in self._listened() if namespace_of(name) == ACCOUNTS}
        for name in listened:
            self._last_used[name] = now
            if name not in self._hooks:
                keys = {"account_id": name.partition("/")[2]}
                self._hooks[name] = self._store.add_hook(hook_of(keys, self._url, "gateway", self._node_id))
        for name in [name for name, at in self._last_used.items() if now - at >= self._linger and name in self._hooks]:
            self._store.remove_hook(self._hooks[name].id)
            del self._hooks[name], self._last_used[name]

    def withdraw(self) -> None:
        """Leave the registry; if the store is away, the lease runs out by itself."""
        try:
            if self._lease is not None:
                self._store.release(self._lease.name, self._lease.holder, self._lease.term)
            for hook in self._hooks.values():
                self._store.remove_hook(hook.id)
        except StoreError as error:
            log.warning("withdrawal_failed", node=self._node_id, error=str(error))
