"""The container on a running asyncio loop: for Tornado, ASGI and any other program that lives on one.

Callbacks are called on the loop, and may be plain functions or coroutine functions; a callback that waits holds up only
itself. Everything that touches the store runs in threads of the container's own.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Self, TypeVar

from skyhooks.adapters.container import Container as BlockingContainer
from skyhooks.adapters.endpoint import Answer, Endpoint
from skyhooks.adapters.limits import Limits
from skyhooks.adapters.listener import Callback, Gap, Handover, Listener
from skyhooks.store.base import Store

T = TypeVar("T")

THREADS = 4
"""Calls to the store that may be under way at the same time."""


class Container:
    """`skyhooks.adapters.container.Container`, awaitable; see there for what the arguments mean.

    Made anywhere, started on the loop that calls the callbacks: ``async with container:``, or `start` and `stop`.
    """

    def __init__(
        self,
        store: Store,
        *,
        url: str = "",
        secret: str = "",
        node_id: str = "",
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> None:
        self._container = BlockingContainer(
            store, url=url, secret=secret, node_id=node_id, dispatch=self._dispatch, limits=limits
        )
        self._threads = ThreadPoolExecutor(THREADS, "skyhooks-store")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def node_id(self) -> str:
        """The app's name in the registry."""
        return self._container.node_id

    @property
    def endpoint(self) -> Endpoint:
        """What answers workers."""
        return self._container.endpoint

    async def start(self) -> None:
        """Begin to watch on the running loop. A store that is away is no error here."""
        self._loop = asyncio.get_running_loop()
        self._container.start()

    async def stop(self) -> None:
        """Call no callback any more, leave the registry, and end; callbacks that wait are cancelled."""
        await self._in_thread(self._container.stop)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def register(
        self,
        keys: Mapping[str, object],
        callback: Callback,
        *,
        since: str | None = None,
        with_position: bool = False,
        on_gap: Callable[[Gap], Any] | None = None,
    ) -> Listener:
        """See `skyhooks.adapters.container.Container.register`."""
        call = partial(self._container.register, since=since, with_position=with_position, on_gap=on_gap)
        return await self._in_thread(call, keys, callback)

    def unregister(self, keys: Mapping[str, object], callback: Callback) -> bool:
        """See `skyhooks.adapters.container.Container.unregister`; it does not wait for anything."""
        return self._container.unregister(keys, callback)

    async def notify(self, keys: Mapping[str, object], data: Any, publication_id: str = "") -> dict[str, Any]:
        """See `skyhooks.adapters.container.Container.notify`."""
        return await self._in_thread(self._container.notify, keys, data, publication_id)

    async def answer(self, method: str, name: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """See `skyhooks.adapters.endpoint.Endpoint.answer`."""
        return await self._in_thread(self.endpoint.answer, method, name, headers, body)

    async def _in_thread(self, call: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(call, *args))

    def _dispatch(self, handovers: Sequence[Handover]) -> None:
        """Called by the watcher's thread, with everything that one look has found."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._run, handovers)

    def _run(self, handovers: Sequence[Handover]) -> None:
        for handover in handovers:
            waiting = handover.run()
            if waiting is not None:
                task = asyncio.ensure_future(handover.complete(waiting))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
