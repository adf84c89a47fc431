"""What the handlers of the control plane need of their node, in one object that is passed to each of them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.api.catalogue import Catalogue, OfferedTask
from gateway.submit import Submitted, Submitter, Terms
from skyhooks.errors import Refused, StoreError
from skyhooks.registry import NODES
from skyhooks.store.base import AsyncStore, Hook

READY_SECONDS: Final = 1.0


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A node in figures.

    `store` is the scheme of the store's URL (the rest may hold a password), `uptime` is in seconds.
    """

    node: str
    version: str
    store: str
    channels: int
    subscribers: int
    uptime: float


class Control:
    """One node as its control plane sees it.

    Without a `submitter` it takes no tasks. `describe` gives the node's figures; `reasons` gives what, apart from the
    store, keeps it from serving (it is starting, it is draining), empty when nothing does.
    """

    def __init__(
        self,
        store: AsyncStore,
        submitter: Submitter | None,
        catalogue: Catalogue,
        describe: Callable[[], Status],
        reasons: Callable[[], Sequence[str]] = lambda: (),
    ) -> None:
        self.describe = describe
        self._store = store
        self._submitter = submitter
        self._catalogue = catalogue
        self._reasons = reasons

    def tasks(self) -> tuple[OfferedTask, ...]:
        """The tasks that may be submitted here."""
        return self._catalogue.tasks if self._submitter else ()

    async def submit(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], account: str | None, terms: Terms
    ) -> Submitted:
        """See `Submitter.submit`; also raises `Refused` (``no_broker``, ``unknown_task``)."""
        if self._submitter is None:
            raise Refused("no_broker", "this gateway submits no tasks: its setting `broker` is empty", 503)
        self._catalogue.check(name)
        return await self._submitter.submit(name, args, kwargs, account, terms)

    async def hooks(self, keys: Mapping[str, str] | None) -> list[Hook]:
        """The registered hooks that match `keys`, or all. Raises `StoreUnavailable`."""
        return await self._store.hooks(keys)

    async def add_hook(self, hook: Hook) -> Hook:
        """Register a checked hook; one that is there already comes back. Raises `StoreUnavailable`."""
        return await self._store.add_hook(hook)

    async def remove_hook(self, hook_id: str) -> bool:
        """Remove a hook, False when there is none. Raises `StoreUnavailable`."""
        return await self._store.remove_hook(hook_id)

    async def unready(self) -> list[str]:
        """Why the node should get no traffic now, in sentences; empty when it is ready."""
        reasons = list(self._reasons())
        try:
            await asyncio.wait_for(self._store.leases(NODES), READY_SECONDS)
        except TimeoutError:
            reasons.append(f"the store did not answer within {READY_SECONDS:g} second")
        except StoreError as error:
            reasons.append(f"the store does not answer: {error}")
        return reasons
