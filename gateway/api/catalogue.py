"""The tasks that people may submit through a gateway: an allow-list of names, some with a sample to start from."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from skyhooks.errors import Refused


class OfferedTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task's name, what it does in one sentence, and arguments that work (empty when nothing is known of it)."""

    name: str
    about: str = ""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}


DEMO_TASKS: Final = (
    OfferedTask(
        name="workers.tasks.countdown",
        about="Counts down, one every so many seconds, and says how far it has come.",
        kwargs={"total": 10, "delay": 0.5},
    ),
    OfferedTask(name="workers.tasks.add", about="Adds two numbers, at once.", args=(2, 3)),
    OfferedTask(
        name="workers.tasks.flaky",
        about="Fails a few times, is tried again each time, and then succeeds.",
        kwargs={"failures": 2, "delay": 1.0},
    ),
    OfferedTask(name="workers.tasks.fail", about="Raises an error, which arrives like a result."),
    OfferedTask(
        name="workers.tasks.pipeline",
        about="Starts three tasks, one after the other, all for the same account.",
        kwargs={"text": "the way of a result"},
    ),
    OfferedTask(
        name="workers.tasks.primes",
        about="Counts the prime numbers below a limit and says how far it has come.",
        kwargs={"limit": 200_000},
    ),
    OfferedTask(
        name="workers.tasks.squares",
        about="Squares numbers side by side, then adds them up.",
        kwargs={"count": 5},
    ),
)
"""The demo tasks of ``workers/tasks.py``, with arguments that are worth watching."""


class Catalogue:
    """The allow-list: `names` in the order given, each with the sample that `known` has for it."""

    def __init__(self, names: Iterable[str], known: Iterable[OfferedTask] = DEMO_TASKS) -> None:
        samples = {task.name: task for task in known}
        self._tasks = {name: samples.get(name) or OfferedTask(name=name) for name in names}

    @property
    def tasks(self) -> tuple[OfferedTask, ...]:
        """Every task on offer."""
        return tuple(self._tasks.values())

    def check(self, name: str) -> None:
        """Raises `Refused` (404, ``unknown_task``) for a name that is not on the list."""
        if name not in self._tasks:
            offer = ", ".join(self._tasks) or "nothing"
            raise Refused(
                "unknown_task",
                f"this gateway submits {offer[:500]}; got {name[:80]!r}. The setting `tasks` is the list",
                404,
            )
