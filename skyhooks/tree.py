"""Services in a tree: each starts after its children, stops before them, and answers for what it has spawned.

Theory of operation. The order of everything (which child, which hook, which state) is in generators that do nothing
themselves: they call a hook and yield what it returned. Two drivers run them, both in `skyhooks.service`. One awaits
what is yielded, on an event loop. The other one has hooks that have done their work when they return, and its work
beside is done by threads, which are greenlets where gevent has patched them. So a gateway on asyncio and a number
server on gevent are the same kind of tree.

A service that fails, by `fail` or because something that it spawned has ended with an error, tells its parent, which
does what was agreed when the child was added (`Policy`). While it starts, whoever starts it is told instead, by the
error; then whatever had started is stopped again.
"""

import random
import threading
import time
from collections.abc import Callable, Generator, Sequence
from enum import Enum
from typing import Any, ClassVar, Final, Self

import msgspec
import structlog

from skyhooks.backoff import Backoff
from skyhooks.errors import SkyhooksError
from skyhooks.lifecycle import TRANSITIONS, Event, State, WrongState, follow

log = structlog.get_logger()

Steps = Generator[object, object, None]

RUNNING: Final = frozenset({State.STARTING, State.READY, State.RELOADING})


class Policy(Enum):
    """What a parent does when a child fails: fail too, start it again after a while, or only say so."""

    ESCALATE = "escalate"
    RESTART = "restart"
    REPORT = "report"


class Outline(msgspec.Struct, frozen=True):
    """A service and what is below it, for people to look at. `detail` is what it says of itself."""

    name: str
    state: str
    error: str = ""
    detail: str = ""
    children: tuple["Outline", ...] = ()


class Tree:
    """What both kinds of service share. `name` is for people."""

    patience: ClassVar[int] = 5
    """Times in a row that a child is started again before its failure becomes this service's."""
    settled: ClassVar[float] = 5.0
    """Seconds that a child has to be ready for its next failure to count as the first one again."""
    backoff: ClassVar[Backoff] = Backoff(first=0.1, most=10.0)
    """Pauses before a child is started again."""

    def __init__(self, name: str = "") -> None:
        self.name = name or type(self).__name__.lower()
        self.state = State.NEW
        self.error: BaseException | None = None
        self.children: list[tuple[Self, Policy]] = []
        self.parent: Self | None = None
        self._watchers: list[Callable[[Tree], object]] = []
        self._failures = 0
        self._ready_at = 0.0
        self._opened = False
        """Whether `on_start` has done its work, so that `on_stop` has something to undo."""
        self._may_spawn = False
        self._guard = threading.Lock()

    @property
    def detail(self) -> str:
        """What people should know of this service besides its state."""
        return ""

    def outline(self) -> Outline:
        """This service and what is below it, as they are now."""
        error = str(self.error) or repr(self.error) if self.error is not None else ""
        children = tuple(child.outline() for child, _ in self.children)
        return Outline(self.name, self.state.value, error, self.detail, children)

    def watch(self, watcher: Callable[["Tree"], object]) -> None:
        """Have `watcher` called with each service of this tree whose state has changed, by whoever has changed it."""
        self._watchers.append(watcher)

    def changed(self) -> None:
        """Tell the watchers that `outline` has something new to say. They are told of states without being asked."""
        place: Tree | None = self
        while place is not None:
            for watcher in place._watchers:
                try:
                    watcher(self)
                except Exception:
                    log.exception("watcher_failed", service=self.name)
            place = place.parent

    def fail(self, error: BaseException) -> None:
        """This service cannot go on. It stays as it is until it is stopped. Nothing happens when it does not run."""
        with self._guard:
            if self.state not in RUNNING or self.error is not None:
                return
            self.error = error
            if self.state is State.STARTING:
                return
            self.state = follow(self.state, Event.FAIL)
        expected = isinstance(error, SkyhooksError | OSError)
        log.error("service_failed", service=self.name, error=said(error), exc_info=None if expected else error)
        self.changed()
        if self.parent is None:
            self._failed()
        else:
            self.parent.child_failed(self, error)

    def child_failed(self, child: Any, error: BaseException) -> None:
        """Do what was agreed for a child that has failed."""
        policy = next(agreed for one, agreed in self.children if one is child)
        if policy is Policy.REPORT or self.state not in RUNNING:
            return
        child._failures = 1 if time.monotonic() - child._ready_at >= self.settled else child._failures + 1
        if policy is Policy.ESCALATE or child._failures > self.patience:
            self.fail(error)
            return
        delay = self.backoff.delay(child._failures - 1, random.random)
        log.warning("service_restarts", service=child.name, failures=child._failures, seconds=round(delay, 2))
        self._restart(child, delay)

    def _adopt(self, child: Any, policy: Policy) -> None:
        if self.state not in (State.NEW, State.STOPPED):
            raise WrongState(f"{self.name} is {self.state.value}; children are added before a service is started")
        if child.parent is not None:
            raise WrongState(f"{child.name} belongs to {child.parent.name} already")
        child.parent = self
        self.children.append((child, policy))

    # The order of things. A generator yields what a hook has returned, and is told what came of it.

    def _starting(self) -> Steps:
        self._move(Event.START)
        self.error, self._ready_at, self._may_spawn = None, float("inf"), True
        begun: list[Self] = []
        try:
            for child, _ in self.children:
                yield from child._starting()
                begun.append(child)
                self._go_on()
            yield self.on_start()
            self._opened = True
            self._go_on(Event.STARTED)
        except BaseException as error:
            self._move(Event.FAIL)
            self.error = error
            yield from self._closing(begun)
            raise
        self._ready_at = time.monotonic()
        self.changed()

    def _go_on(self, event: Event | None = None) -> None:
        """While starting: raise what this service was told to fail with, else take the next state."""
        with self._guard:
            if self.error is not None:
                raise self.error
            if event is not None:
                self.state = follow(self.state, event)

    def _reloading(self) -> Steps:
        self._move(Event.RELOAD)
        first: Exception | None = None
        try:
            try:
                yield self.on_reload()
            except Exception as error:
                log.error("service_reload_failed", service=self.name, error=said(error))
                first = error
            for child, _ in self.children:
                try:
                    if child.state is State.READY:
                        yield from child._reloading()
                except Exception as error:
                    first = first or error
        finally:
            # What could not be taken over is raised to whoever asked; the service goes on as it was.
            self._try(Event.RELOADED)
        if first is not None:
            raise first

    def _stopping(self) -> Steps:
        if not self._try(Event.STOP):
            return
        try:
            yield from self._closing([child for child, _ in self.children])
        finally:
            self._move(Event.ENDED)

    def _closing(self, children: Sequence[Self]) -> Steps:
        """Stop this service, then those children. Whatever goes wrong with one, also a cancellation, the rest stops."""
        interruption: BaseException | None = None
        for steps in (self._leaving(), self._letting_go(), *(child._stopping() for child in reversed(children))):
            try:
                yield from steps
            except GeneratorExit:
                raise
            except Exception:
                log.exception("service_stop_failed", service=self.name)
            except BaseException as error:
                interruption = error
        if interruption is not None:
            raise interruption

    def _leaving(self) -> Steps:
        if self._opened:
            self._opened = False
            yield self.on_stop()

    def _letting_go(self) -> Steps:
        self._may_spawn = False
        yield self._release()

    def _move(self, event: Event) -> None:
        with self._guard:
            self.state = follow(self.state, event)
        self.changed()

    def _try(self, event: Event) -> bool:
        """Take the next state if there is one for this event."""
        with self._guard:
            if (self.state, event) not in TRANSITIONS:
                return False
            self.state = follow(self.state, event)
        self.changed()
        return True

    def _check_spawn(self) -> None:
        if not self._may_spawn:
            raise WrongState(f"{self.name} is {self.state.value}; it spawns from its start until it has stopped")

    # What the two kinds do differently, and what services do themselves.

    def on_start(self) -> Any:
        """Begin to work. The children are ready. What this has begun when it raises is its own to end."""

    def on_reload(self) -> Any:
        """Take settings over that have changed."""

    def on_stop(self) -> Any:
        """Stop working, after `on_start` has succeeded. The children are still there; what was spawned still runs."""

    def _release(self) -> Any:
        """End what was spawned."""
        raise NotImplementedError

    def _restart(self, child: Any, delay: float) -> None:
        raise NotImplementedError

    def _failed(self) -> None:
        """The root has failed: wake whoever waits."""
        raise NotImplementedError


def said(error: BaseException) -> str:
    """An error in words, also one that has none."""
    return str(error) or repr(error)
