"""A real store whose availability a test decides, and waiting for conditions on the loop."""

import asyncio
import threading
from collections.abc import Callable, Sequence

from skyhooks.errors import StoreUnavailable
from skyhooks.publication import Draft, Outcome
from skyhooks.store.base import Head, News, Page
from skyhooks.store.memory import MemoryStore


class Switched(MemoryStore):
    """A memory store that can be taken away (`away`) and whose commits can be held (`gate`)."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[int] = []
        self.reads = 0

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("switched off by the test")

    def append(self, drafts: Sequence[Draft]) -> list[Outcome]:
        self.gate.wait(10)
        self._check()
        self.batches.append(len(drafts))
        return super().append(drafts)

    def head(self, channel: str) -> Head | None:
        self._check()
        return super().head(channel)

    def read(self, channel: str, after: int, limit: int = 500, size: int = 1 << 20) -> Page:
        self._check()
        self.reads += 1
        return super().read(channel, after, limit, size)

    def news(self, mark: int | None) -> News:
        self._check()
        return super().news(mark)


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Let the loop run until a condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def draft(name: str, channel: str = "accounts/a", data: bytes = b"1") -> Draft:
    return Draft(id=name, channels=(channel,), data=data)
