"""What a checkup says: findings, the mistakes that it knows, and the checks that look for them.

A mistake is written down once, with its level, its meaning and its fix. Findings and ``docs/doctor.md`` are made from
that, and a check cannot find a mistake that it has not declared.
"""

from collections.abc import Callable, Iterator
from typing import Generic, Literal, TypeVar

import msgspec

T = TypeVar("T")

Level = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """One line: how bad it is, what was found, what to do about it, and the name of the mistake (empty when ok)."""

    level: Level
    what: str
    fix: str = ""
    name: str = ""


class Mistake(msgspec.Struct, frozen=True):
    """Something that can be wrong. `meaning` completes "This is the case when …"; `fix` may hold ``{names}``."""

    name: str
    level: Literal["warn", "fail"]
    meaning: str
    fix: str

    def found(self, what: str, **details: object) -> Finding:
        """The finding that this is so; `details` are put into the fix."""
        return Finding(self.level, what, self.fix.format(**details), self.name)


def good(what: str) -> Finding:
    """The finding that something is as it should be."""
    return Finding("ok", what)


class Check(Generic[T]):
    """Looks at one thing; calling it with a subject yields findings and raises for no mistake that it knows."""

    def __init__(self, run: Callable[[T], Iterator[Finding]], mistakes: tuple[Mistake, ...]) -> None:
        self.name = run.__name__
        self.about = (run.__doc__ or "").strip()
        self.mistakes = mistakes
        self._run = run

    def __call__(self, subject: T) -> Iterator[Finding]:
        """What is found. Raises `LookupError` when a mistake is found that was not declared."""
        known = {"", *(mistake.name for mistake in self.mistakes)}
        for finding in self._run(subject):
            if finding.name not in known:
                raise LookupError(f"the check {self.name} found {finding.name}, which it has not declared")
            yield finding


def check(*mistakes: Mistake) -> Callable[[Callable[[T], Iterator[Finding]]], Check[T]]:
    """Make a function a check that looks for `mistakes`; its docstring says what it looks at."""
    return lambda run: Check(run, mistakes)
