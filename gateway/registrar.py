"""Keeps this node in the registry: its lease, and a hook for each account that has subscribers here.

One renewal a node keeps all its hooks alive. A hook goes when its channel is no longer served, which is a while
after the last subscriber has left, so that pages that reload do not write.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import msgspec
import structlog

from gateway.hub.hub import Hub
from skyhooks.channel import ACCOUNTS, account_name, namespace_of
from skyhooks.errors import Refused, StoreError
from skyhooks.registry import hook_of, node_lease
from skyhooks.store.base import AsyncStore, Hook, Lease

log = structlog.get_logger()

WITHDRAW_SECONDS = 2.0


class Registrar:
    """Registers node `node_id`, whose webhooks go to `url` + ``/hooks``, for `ttl` seconds at a time.

    `info` is what the node's lease tells of it besides its URL (see `gateway.cluster.lease`).
    """

    def __init__(
        self, store: AsyncStore, hub: Hub, node_id: str, url: str, *, info: Mapping[str, object], ttl: float
    ) -> None:
        self._store = store
        self._hub = hub
        self._node_id = node_id
        self._url = url
        self._info = msgspec.json.encode({"url": url, **info}).decode()
        self._ttl = ttl
        self._lease: Lease | None = None
        self._hooks: dict[str, Hook] = {}
        self._wake = asyncio.Event()

    def served(self, channel: str) -> None:
        """A channel has its first subscriber here: register it without waiting."""
        if _account_of(channel) and channel not in self._hooks:
            self._wake.set()

    async def run(self) -> None:
        """Renew the lease until cancelled; an unavailable store is asked again at the next turn."""
        while True:
            try:
                await self._renew()
            except StoreError as error:
                log.warning("registration_failed", node=self._node_id, error=str(error))
            await asyncio.sleep(self._ttl / 3)

    async def match(self) -> None:
        """Keep the hooks those of the accounts that are served here, until cancelled.

        Beside `run`: many accounts at once take longer than a lease lasts.
        """
        while True:
            self._wake.clear()
            try:
                await self._match()
            except StoreError as error:
                log.warning("account_registration_failed", node=self._node_id, error=str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._ttl / 3)

    async def withdraw(self) -> None:
        """Take this node out of the registry, within `WITHDRAW_SECONDS`: subscribers wait to be sent elsewhere.

        What a slow store does not take in that time ends by itself when the lease does.
        """
        leaving = asyncio.create_task(self._withdraw(), name="withdrawal")
        done, _ = await asyncio.wait({leaving}, timeout=WITHDRAW_SECONDS)
        if not done:
            leaving.cancel()
            log.warning("withdrawal_incomplete", node=self._node_id, error="no answer in time")

    async def _withdraw(self) -> None:
        """Without its lease the node's hooks count no more, so it goes first."""
        try:
            if self._lease is not None:
                await self._store.release(self._lease.name, self._lease.holder, self._lease.term)
            for hook in self._hooks.values():
                await self._store.remove_hook(hook.id)
        except StoreError as error:
            log.warning("withdrawal_incomplete", node=self._node_id, error=str(error))

    async def _renew(self) -> None:
        lease = await self._store.lease(node_lease(self._node_id), self._node_id, self._ttl, self._info)
        if lease is None:
            log.error("node_id_taken", node=self._node_id, change="give each node a node_id of its own")
        self._lease = lease

    async def _match(self) -> None:
        """Make the hooks be those of the accounts that are served here."""
        served = {name for name in self._hub.channels if _account_of(name)}
        for name in served - set(self._hooks):
            hook = hook_of({"account_id": _account_of(name)}, f"{self._url}/hooks", "gateway", self._node_id)
            self._hooks[name] = await self._store.add_hook(hook)
        for name in set(self._hooks) - served:
            await self._store.remove_hook(self._hooks.pop(name).id)


def _account_of(channel: str) -> str:
    """The account whose channel this is; empty when no result can be for it."""
    if namespace_of(channel) != ACCOUNTS:
        return ""
    try:
        return account_name(channel.partition("/")[2])
    except Refused:
        return ""
