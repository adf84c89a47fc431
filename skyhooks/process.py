"""A service that is a child process: ready once the program answers, started again when it dies, stopped with the rest.

So a tree of programs is a tree like any other. The service runs a supervisor of its own, in a thread that lives as long
as the program does (the kernel kills a child whose parent thread has ended, see `skyhooks.child`).
"""

import threading
import time
from collections.abc import Callable
from typing import Final

from skyhooks.child import Program
from skyhooks.service import BlockingService
from skyhooks.supervisor import Supervisor

LOOK_SECONDS: Final = 0.1
BURIAL_SECONDS: Final = 5.0
"""How long it may take, beyond the program's own grace, to kill it and to see it gone."""


class ProcessService(BlockingService):
    """Runs `program`; `say` gets its name and each line that it writes.

    `ready` tells whether the program can do its work; without it, it is enough that it runs. Starting raises
    `ChildProcessError` when the program fails for good or is not ready within `ready_seconds`; it fails so later, too.
    """

    def __init__(
        self,
        program: Program,
        say: Callable[[str, str], None],
        ready: Callable[[], bool] = lambda: True,
        ready_seconds: float = 60.0,
    ) -> None:
        super().__init__(program.name)
        self._program = program
        self._say = say
        self._is_ready = ready
        self._ready_seconds = ready_seconds
        self._supervisor: Supervisor | None = None
        self._keeper: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """The process that runs now; 0 when none does, such as between two lives."""
        return self._supervisor.pids().get(self.name, 0) if self._supervisor is not None else 0

    @property
    def detail(self) -> str:
        """The process, for people."""
        return f"process {self.pid}" if self.pid else ""

    def on_start(self) -> None:
        """Run the program, and wait until it is ready."""
        self._supervisor = supervisor = Supervisor([self._program], self._say)
        self._keeper = self.spawn(lambda: self._keep(supervisor), self.name)
        deadline = time.monotonic() + self._ready_seconds
        try:
            while not (self.pid and self._is_ready()):
                if self.error is not None:
                    raise self.error
                if time.monotonic() > deadline:
                    raise ChildProcessError(f"{self.name} is not ready after {self._ready_seconds:g} seconds")
                self.stopping.wait(LOOK_SECONDS)
        except BaseException:
            self.on_stop()
            raise

    def on_stop(self) -> None:
        """Ask the program to end, and kill it after its grace."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None or self._keeper is None:
            return
        if self._keeper.is_alive():
            supervisor.stop()
        self._keeper.join(self._program.grace + BURIAL_SECONDS)

    def _keep(self, supervisor: Supervisor) -> None:
        if not supervisor.run():
            raise ChildProcessError(f"{self.name} has failed for good; its lines in the log say why")
