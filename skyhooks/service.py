"""The two kinds of service: on an event loop (`Service`), and on threads or greenlets (`BlockingService`).

The rules are in `skyhooks.tree`, for both; here is only how a step is taken.
"""

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Final, Self, TypeVar

import structlog

from skyhooks.lifecycle import State, WrongState
from skyhooks.tree import Outline, Policy, Steps, Tree, said

log = structlog.get_logger()

S = TypeVar("S", bound="Service")
B = TypeVar("B", bound="BlockingService")


CANCEL_SECONDS: Final = 0.2
"""Pause before a task that goes on is cancelled again."""


class Service(Tree):
    """A service on an event loop; its hooks may be coroutine functions. Also an asynchronous context manager.

    A hook never awaits `start`, `reload` or `stop` of its own service: each of these waits for the one before.
    """

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self._tasks: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._turn = asyncio.Lock()

    def add(self, child: S, policy: Policy = Policy.ESCALATE) -> S:
        """Make `child` a part of this service, before this one is started; returns it. Raises `WrongState`."""
        self._adopt(child, policy)
        return child

    async def start(self) -> None:
        """Start the children, then this one. What had begun is stopped again when something fails, which is raised."""
        async with self._turn:
            if self.state is State.STOPPED:
                self._over.clear()
            await drive(self._starting())

    async def reload(self) -> None:
        """Have this service, then its children, take changed settings over.

        One that cannot keeps no other one from it; the first error is raised afterwards.
        """
        async with self._turn:
            await drive(self._reloading())

    async def stop(self) -> None:
        """Stop this service, then its children in reverse order. Nothing happens when it does not run."""
        async with self._turn:
            try:
                await drive(self._stopping())
            finally:
                self._over.set()

    async def wait(self) -> None:
        """Until the service is asked to end by `end`, is stopped, or fails: then the error is raised."""
        await self._over.wait()
        if self.error is not None:
            raise self.error

    def end(self) -> None:
        """Have `wait` return, so that whoever started this service stops it."""
        self._over.set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str = "", essential: bool = True) -> "asyncio.Task[None]":
        """Run `work` beside; it is cancelled when this service stops. With `essential`, its error is this service's.

        Raises `WrongState` when this service does not run.
        """
        try:
            self._check_spawn()
        except WrongState:
            work.close()
            raise
        task = asyncio.create_task(work, name=name or getattr(work, "__name__", "work"))
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._ended(ended, essential))
        return task

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    def _ended(self, task: "asyncio.Task[None]", essential: bool) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if essential:
            self.fail(error)
        else:
            log.error("task_failed", service=self.name, task=task.get_name(), exc_info=error)

    async def _release(self) -> None:
        tasks = {task for task in self._tasks if task is not asyncio.current_task()}
        while tasks:
            # Again and again: a cancellation gets lost where it meets the end of what the task was waiting for
            # (`asyncio.wait_for` before Python 3.12, which database drivers use).
            for task in tasks:
                task.cancel()
            _, tasks = await asyncio.wait(tasks, timeout=CANCEL_SECONDS)

    def _restart(self, child: "Service", delay: float) -> None:
        async def again() -> None:
            await child.stop()
            await asyncio.sleep(delay)
            try:
                await child.start()
            except Exception as error:
                log.error("service_failed", service=child.name, error=said(error))
                # Counted here: while it starts, a failure is raised and not told.
                self.child_failed(child, error)

        self.spawn(again(), f"restart {child.name}")

    def _failed(self) -> None:
        self._over.set()


class BlockingService(Tree):
    """A service whose hooks block, in a program of threads or greenlets. Also a context manager.

    What it spawns has to look at `stopping` and end soon after that is set: threads cannot be cancelled.
    """

    join_seconds: ClassVar[float] = 5.0
    """How long what was spawned may take to notice that the service stops; what still runs then is left and named."""

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self.stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()
        self._turn = threading.RLock()

    def add(self, child: B, policy: Policy = Policy.ESCALATE) -> B:
        """See `Service.add`."""
        self._adopt(child, policy)
        return child

    def start(self) -> None:
        """See `Service.start`."""
        with self._turn:
            if self.state is State.STOPPED:
                self._over.clear()
            run(self._starting())

    def reload(self) -> None:
        """See `Service.reload`."""
        with self._turn:
            run(self._reloading())

    def stop(self) -> None:
        """See `Service.stop`."""
        with self._turn:
            try:
                run(self._stopping())
            finally:
                self._over.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Until `end` is called, the service is stopped or fails (then the error is raised); False after `seconds`."""
        if not self._over.wait(seconds):
            return False
        if self.error is not None:
            raise self.error
        return True

    def end(self) -> None:
        """Have `wait` return."""
        self._over.set()

    def spawn(self, work: Callable[[], None], name: str = "", essential: bool = True) -> threading.Thread:
        """Run `work` beside. With `essential`, its error is this service's. Raises `WrongState`."""
        self._check_spawn()

        def run_work() -> None:
            try:
                work()
            except Exception as error:
                if essential:
                    self.fail(error)
                else:
                    log.error("task_failed", service=self.name, task=name, exc_info=error)

        thread = threading.Thread(target=run_work, name=name or getattr(work, "__name__", "work"), daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()]
        self._threads.append(thread)
        thread.start()
        return thread

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _starting(self) -> Steps:
        self.stopping.clear()
        yield from super()._starting()

    def _release(self) -> None:
        self.stopping.set()
        deadline = time.monotonic() + self.join_seconds
        threads, self._threads = self._threads, []
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
                if thread.is_alive():
                    log.warning("thread_left", service=self.name, thread=thread.name)

    def _restart(self, child: "BlockingService", delay: float) -> None:
        def again() -> None:
            child.stop()
            if self.stopping.wait(delay):
                return
            try:
                child.start()
            except Exception as error:
                log.error("service_failed", service=child.name, error=said(error))
                self.child_failed(child, error)
            if self.stopping.is_set():
                # It came back while its parent went, which did not see it running.
                child.stop()

        self.spawn(again, f"restart {child.name}")

    def _failed(self) -> None:
        self._over.set()


async def drive(steps: Steps) -> None:
    """Await what a generator yields, and tell it what came of that."""
    try:
        step = next(steps)
        while True:
            try:
                if inspect.isawaitable(step):
                    await step
            except BaseException as error:
                step = steps.throw(error)
            else:
                step = next(steps)
    except StopIteration:
        return


def run(steps: Steps) -> None:
    """Run a generator whose hooks have done their work when they return. Raises `WrongState` for one that has not."""
    for step in steps:
        if inspect.isawaitable(step):
            if inspect.iscoroutine(step):
                step.close()
            steps.throw(WrongState("a hook of a blocking service is no coroutine function; `Service` has these"))


__all__ = ["BlockingService", "Outline", "Policy", "Service", "Tree", "drive", "run"]
