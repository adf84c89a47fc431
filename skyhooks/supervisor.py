"""Keeps a few programs running as child processes and stops them in order. One thread, no event loop.

Theory of operation. A place, one for each program, is in one of four states; `due` is when it leaves one by itself::

    resting ── due ──> running ── it ended ──> resting, due after its backoff
                          │ stop, when every lower rank is done: SIGTERM
                          v
                       stopping ── it ended ──> done
                          │ due after its grace: SIGKILL to its whole group
                          └──────────────────────^
"""

import os
import random
import selectors
import time
from collections.abc import Callable, Sequence
from typing import Final

from skyhooks.backoff import Backoff
from skyhooks.child import Child, Program, manner

SETTLED: Final = 5.0
"""Seconds that a program has to live for its next failure to count as the first one again."""


class _Place:
    """A program, its process (None: resting or done), and when something is due for it (None: nothing is)."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.child: Child | None = None
        self.due: float | None = 0.0
        self.started = 0.0
        self.failures = 0
        self.killed = False


class Supervisor:
    """Runs programs until it is told to stop.

    `say` gets a name and a line: what the program of that name wrote, or what became of it. `patience` is how often in
    a row a program may fail by itself (an exit code above 0 before it has settled) until everything is given up: such a
    program has a wrong setting, and trying for ever would only hide it.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        say: Callable[[str, str], None],
        *,
        backoff: Backoff = Backoff(first=0.5, most=10.0),  # noqa: B008  # frozen
        patience: int = 5,
    ) -> None:
        self._places = [_Place(program) for program in programs]
        self._say = say
        self._backoff = backoff
        self._patience = patience
        self._selector = selectors.DefaultSelector()
        self._wake_end, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_end, selectors.EVENT_READ)
        self._stops = 0
        self._given_up = False

    def stop(self) -> None:
        """Begin to stop; called again, kill at once. Safe in a signal handler and in another thread."""
        self._stops += 1
        os.write(self._wake, b"s")

    def pids(self) -> dict[str, int]:
        """The process ids of what runs now, by name."""
        return {place.program.name: child.pid for place in self._places if (child := place.child) is not None}

    def run(self) -> bool:
        """Start everything and keep it running until `stop`. False when a program failed for good.

        When it returns, no process that it started is left. Call it in the main thread: a child is killed when the
        thread that started it ends.
        """
        try:
            while not (self._stops and all(place.child is None for place in self._places)):
                if self._stops:
                    self._stop_due()
                else:
                    self._start_due()
                self._sleep()
                for place in self._places:
                    self._look_at(place)
        finally:
            for place in self._places:
                self._bury(place)
            self._selector.close()
            os.close(self._wake_end)
            os.close(self._wake)
        return not self._given_up

    def _start_due(self) -> None:
        now = time.monotonic()
        for place in self._places:
            if place.child is not None or place.due is None or place.due > now:
                continue
            place.started, place.due = now, None
            try:
                child = place.child = Child(place.program)
            except OSError as error:
                self._failed(place, f"could not be started ({error})", 1)
                continue
            self._selector.register(child.output, selectors.EVENT_READ)
            self._selector.register(child.pidfd, selectors.EVENT_READ)

    def _stop_due(self) -> None:
        now = time.monotonic()
        running = [place for place in self._places if place.child is not None]
        first = min((place.program.rank for place in running), default=0)
        for place in self._places:
            if place.child is None:
                place.due = None
            elif not place.killed and (self._stops > 1 or (place.due is not None and place.due <= now)):
                self._say(place.program.name, "killed: it had not ended yet")
                place.child.kill()
                place.killed, place.due = True, None
            elif place.due is None and not place.killed and place.program.rank == first:
                self._say(place.program.name, "stopping")
                place.child.terminate()
                place.due = now + place.program.grace

    def _sleep(self) -> None:
        """Until a child writes or ends, `stop` is called, or something is due."""
        dues = [place.due for place in self._places if place.due is not None]
        timeout = max(0.0, min(dues) - time.monotonic()) if dues else None
        for key, _ in self._selector.select(timeout):
            if key.fd == self._wake_end:
                os.read(self._wake_end, 1024)

    def _look_at(self, place: _Place) -> None:
        """Pass on what a child has written, and notice when it has ended."""
        if place.child is None:
            return
        ended = place.child.ended()
        self._pass_on(place, place.child, last=ended)
        if not ended:
            return
        how = self._bury(place)
        if self._stops:
            self._say(place.program.name, f"stopped ({manner(how)})")
            place.due = None
        else:
            self._failed(place, f"ended ({manner(how)})", how)

    def _pass_on(self, place: _Place, child: Child, last: bool) -> None:
        if child.silent:
            return
        for line in child.lines(last):
            self._say(place.program.name, line)
        if child.silent:
            self._selector.unregister(child.output)

    def _failed(self, place: _Place, how: str, code: int) -> None:
        """A program has ended though nobody told it to: start it again later, or give up."""
        now = time.monotonic()
        place.failures = 1 if now - place.started >= SETTLED else place.failures + 1
        if code > 0 and place.failures >= self._patience:
            self._say(place.program.name, f"{how}, {place.failures} times in a row: giving up; its lines above say why")
            self._given_up = True
            self.stop()
            return
        delay = self._backoff.delay(place.failures - 1, random.random)
        place.due = now + delay
        self._say(place.program.name, f"{how}; starting it again in {delay:.1f} s")

    def _bury(self, place: _Place) -> int:
        """Take a child away, by force if it still runs, and return how it ended."""
        if place.child is None:
            return 0
        child, place.child = place.child, None
        self._selector.unregister(child.pidfd)
        if not child.silent:
            self._selector.unregister(child.output)
        return child.bury()
