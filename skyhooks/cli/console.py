"""Lines of several programs in one terminal: each after its program's name, in its colour."""

import os
import sys
import threading
from collections.abc import Sequence
from itertools import cycle
from typing import Final

import click

COLOURS: Final = ("cyan", "magenta", "yellow", "green", "blue")


class Console:
    """Writes to standard output. Colours are left out where it is not a terminal (click sees to that)."""

    def __init__(self, names: Sequence[str]) -> None:
        self._width = max(map(len, names))
        self._colours = dict(zip(names, cycle(COLOURS), strict=False))
        self._lock = threading.Lock()

    def __call__(self, name: str, line: str) -> None:
        """One line of the program `name`."""
        prefix = click.style(f"{name:{self._width}} |", fg=self._colours.get(name))
        self.say(f"{prefix} {line}")

    def say(self, text: str) -> None:
        """Text without a prefix. A reader that went away does not stop the programs."""
        with self._lock:
            try:
                click.echo(text)
                sys.stdout.flush()
            except BrokenPipeError:
                # From now on into nothing, also what is still buffered: the interpreter flushes at its end.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
