"""The parts of a cluster: each one a process that can be killed, put to sleep and started again."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.processes import descendants

ROOT: Final = Path(__file__).parents[2]
HOST: Final = "127.0.0.1"


class Part:
    """A program with its log in `folder`. It is ready once something listens on `port` (0: at once)."""

    def __init__(
        self, name: str, argv: Sequence[str], folder: Path, env: Mapping[str, str] | None = None, port: int = 0
    ) -> None:
        self.name = name
        self.port = port
        self.log = folder / f"{name}.log"
        self.armed = folder / f"{name}.armed"
        self.loss = folder / f"{name}.loss"
        self.starts = 0
        self.paused = False
        self._argv = argv
        self._env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "FAULTS_ARMED": str(self.armed),
            "FAULTS_HITS": str(folder / "hits"),
            "FAULTS_LOSS": str(self.loss),
            **(env or {}),
        }
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process, which leads a session of its own; 0 while there is none."""
        return self._popen.pid if self._popen is not None else 0

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def ready(self) -> bool:
        """Whether it can be connected to."""
        if not self.alive:
            return False
        with socket.socket() as probe:
            return not self.port or probe.connect_ex((HOST, self.port)) == 0

    def start(self) -> None:
        """Run it, unless it runs."""
        if self.alive:
            return
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self._argv,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=ROOT,
            )
        self.starts += 1
        self.paused = False

    def kill(self) -> None:
        """End it and all that it has started, as a power cut would."""
        if self._popen is None:
            return
        for pid in [self._popen.pid, *descendants(self._popen.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._popen.wait()
        self.paused = False

    def pause(self) -> None:
        """Let it do nothing more, with every connection open."""
        self._signal_all(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._signal_all(signal.SIGCONT)
        self.paused = False

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process itself."""
        if self.alive and self._popen is not None:
            self._popen.send_signal(number)

    def _signal_all(self, number: signal.Signals) -> None:
        if self._popen is not None:
            for pid in [self._popen.pid, *descendants(self._popen.pid)]:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)


def build(role: str, *arguments: str) -> list[str]:
    """The command of the test build of a program."""
    return [sys.executable, "-P", "-m", "tests.faults.build", role, *arguments]
