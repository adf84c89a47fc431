"""One program that runs as a child process: started, read line by line, signalled, noticed when it ends.

A child leads a process group of its own, so that a Ctrl-C in the terminal reaches only its supervisor, which keeps the
order of stopping, and so that what a child leaves behind can be swept away with it. It also asks the kernel to be
killed when the thread that started it ends (``PR_SET_PDEATHSIG``, prctl(2)): not even a SIGKILL of the supervisor
leaves it behind.
"""

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

import msgspec

MOST_LINE: Final = 64 * 1024
"""Bytes of a line after which it is passed on in pieces."""
MOST_READ: Final = 16 * MOST_LINE
"""Bytes that are taken at once; more than a pipe holds, so that nothing is left of a child that has ended."""

_PR_SET_PDEATHSIG = 1


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: its name in the log, its command, its whole environment and its folder.

    On stop the programs of the lowest `rank` go first, and the next rank waits until they have ended. `grace` is how
    many seconds a program has to end after SIGTERM before it is killed.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path
    rank: int = 0
    grace: float = 10.0


class Child:
    """The process of a program. Raises `OSError` when the command cannot be run."""

    def __init__(self, program: Program) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # the command is the caller's own, no shell
            program.argv,
            bufsize=0,
            env=dict(program.env),
            cwd=program.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_DieWith(os.getpid()),
        )
        assert self._process.stdout is not None  # noqa: S101  # PIPE was asked for
        self.output: IO[bytes] = self._process.stdout
        os.set_blocking(self.output.fileno(), False)
        self.pid = self._process.pid
        self.pidfd = os.pidfd_open(self.pid)
        self.silent = False
        """Whether it has closed its output."""
        self._line = b""

    def lines(self, last: bool = False) -> list[str]:
        """The whole lines that the process has written since the last call; a very long one comes in pieces.

        With `last`, or once it has closed its output, a line without an end counts as one too.
        """
        whole: list[bytes] = []
        taken = 0
        while not self.silent and taken < MOST_READ:
            chunk = self.output.read(MOST_LINE)
            if chunk is None:
                break
            self.silent = not chunk
            taken += len(chunk)
            *ends, self._line = (self._line + chunk).split(b"\n")
            whole += ends
            if len(self._line) >= MOST_LINE:
                whole, self._line = [*whole, self._line], b""
        if self._line and (last or self.silent):
            whole, self._line = [*whole, self._line], b""
        return [line.decode("utf-8", "replace").rstrip("\r") for line in whole]

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        self._process.terminate()

    def kill(self) -> None:
        """Kill everything in its group at once."""
        os.killpg(self.pid, signal.SIGKILL)

    def ended(self) -> bool:
        """Whether it has ended. Its process id stays taken until `bury`, so that `kill` never hits another's group."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self._process.returncode is not None or os.waitid(os.P_PID, self.pid, options) is not None

    def bury(self) -> int:
        """After its end: kill what is left of its group, close what belongs to it, and return how it ended.

        The answer is its exit code, or the number of the signal that ended it, negative.
        """
        self.kill()
        code = self._process.wait()
        self.output.close()
        os.close(self.pidfd)
        return code


def manner(code: int) -> str:
    """How a process ended, in words, from its return code."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


class _DieWith:
    """Called in the child before its command runs: be killed with the parent, also when that has died by now.

    An object, because after fork nothing may be imported or looked up any more.
    """

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._prctl = ctypes.CDLL(None).prctl

    def __call__(self) -> None:
        self._prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != self._parent:
            os._exit(1)
