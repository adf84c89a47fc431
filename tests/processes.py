"""Real child processes for tests: their output is collected, lines are awaited with a deadline, none is left behind."""

import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

DEADLINE = 30.0
"""Seconds after which a condition that is waited for counts as failed."""


def eventually(condition: Callable[[], T], within: float = DEADLINE, what: str = "") -> T:
    """The first true answer of `condition`, asked again and again; fails when there is none within so many seconds."""
    deadline = time.monotonic() + within
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what or condition}")
        time.sleep(0.02)
    return answer


def free_ports(count: int = 1) -> int:
    """The first of `count` neighbouring ports on loopback that nobody listens on.

    They are below those that the kernel gives to connections, so that none takes one before it is listened on.
    """
    while True:
        first = random.SystemRandom().randrange(10_000, 32_000)
        if all(_is_free(first + more) for more in range(count)):
            return first


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants(pid: int) -> set[int]:
    """The ids of every process that a process has started, theirs included."""
    found: set[int] = set()
    for path in Path("/proc").glob(f"{pid}/task/*/children"):
        with suppress(OSError):
            for child in map(int, path.read_text().split()):
                found |= {child} | descendants(child)
    return found


@contextmanager
def forked() -> Iterator[int]:
    """A copy of this process that does nothing, as a pool forks them: it has every open file of ours."""
    readable, writable = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(writable)
        os.read(readable, 1)  # until it is closed
        os._exit(0)
    os.close(readable)
    try:
        yield pid
    finally:
        os.close(writable)
        os.waitpid(pid, 0)


class Process:
    """A program in a process group of its own."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        self.lines: list[str] = []
        self._popen = subprocess.Popen(
            argv,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        self.pid = self._popen.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """Everything that it has written so far."""
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, within: float = DEADLINE, after: int = 0) -> re.Match[str]:
        """The first match of `pattern` in a line, the first `after` lines aside."""

        def seen() -> re.Match[str] | None:
            matches = (re.search(pattern, line) for line in self.lines[after:])
            found = next(filter(None, matches), None)
            if found is None and self._popen.poll() is not None and not self._reader.is_alive():
                raise AssertionError(f"ended with {self._popen.returncode} before {pattern!r}:\n{self.output}")
            return found

        try:
            found = eventually(seen, within, repr(pattern))
        except AssertionError as error:
            raise AssertionError(f"{error}\n--- output ---\n{self.output}") from None
        assert found is not None
        return found

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def wait(self, within: float = DEADLINE) -> int:
        """Its exit code, once it has ended and its output has been read."""
        try:
            code = self._popen.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {within:g} s:\n{self.output}") from None
        self._reader.join(5)
        return code

    def close(self) -> None:
        """Kill it, and everything that it has started, if that still runs."""
        for pid in [*descendants(self.pid), self.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._popen.wait(5)
        self._reader.join(5)

    def _read(self) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            self.lines.append(line.rstrip("\n"))
        self._popen.stdout.close()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
