"""Applies retention to the log, a bounded round at a time, so that it never holds up commits for long."""

import asyncio
import random
from collections.abc import Sequence

import structlog

from skyhooks.channel import Namespace
from skyhooks.errors import StoreError
from skyhooks.store.base import AsyncStore

log = structlog.get_logger()

ROUND = 500
"""Rows touched in one transaction."""

DEAD_SECONDS = 3600.0
"""How long the hooks of a node that died are kept."""


class Retainer:
    """Trims the namespaces every `pause` seconds or so. Any node may: a round done twice changes nothing."""

    def __init__(self, store: AsyncStore, namespaces: Sequence[Namespace], *, pause: float) -> None:
        self._store = store
        self._namespaces = [namespace for namespace in namespaces if namespace.durable]
        self._pause = pause

    async def run(self) -> None:
        """Trim until cancelled."""
        while True:
            # Drawn anew each time, so that nodes started together do not trim together.
            await asyncio.sleep(self._pause * random.uniform(0.5, 1.5))  # noqa: S311
            try:
                await self._trim()
            except StoreError as error:
                log.warning("retention_failed", error=str(error))

    async def _trim(self) -> None:
        for namespace in self._namespaces:
            while True:
                done = await self._store.trim(namespace.name, namespace.retention, ROUND)
                if done.stripped or done.forgotten:
                    log.info("trimmed", namespace=namespace.name, stripped=done.stripped, forgotten=done.forgotten)
                if done.stripped + done.forgotten < ROUND:
                    break
                await asyncio.sleep(0.05)
        swept = ROUND
        while swept >= ROUND:
            swept = await self._store.sweep_results(ROUND)
        await self._store.sweep_hooks(DEAD_SECONDS)
