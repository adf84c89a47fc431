"""One execution of a task: what names it, and the ids of what it publishes.

Celery delivers a message again after a worker is lost, with the same task id and the same count of retries, so
neither tells two executions apart. Each execution therefore draws a nonce; it lives on Celery's request object, which
exists once per execution.
"""

import os
from typing import Any, Final

from skyhooks.publication import READY_STATES, TaskMark

ATTRIBUTE: Final = "_skyhooks_run"
GENERATION: Final = 1 << 20
"""What one ``Task.replace`` adds to the count of retries, which Celery starts again at 0 for the replacement."""


class TaskRun:
    """One execution. `nonce` is empty where nobody knows which one it was: in the worker's main process."""

    __slots__ = ("_count", "began", "nonce")

    def __init__(self, nonce: str, began: float) -> None:
        self.nonce = nonce
        self.began = began
        """When it began, in seconds of the monotonic clock."""
        self._count = 0

    def count(self) -> int:
        """How many things this execution has published, counting from 1."""
        self._count += 1
        return self._count


def begin(request: Any, now: float) -> TaskRun:
    """Mark the start of an execution on its request."""
    run = TaskRun(os.urandom(6).hex(), now)
    setattr(request, ATTRIBUTE, run)
    return run


def run_of(request: Any) -> TaskRun | None:
    """The execution that a request belongs to; None in the main process and for requests that are made up."""
    run = getattr(request, ATTRIBUTE, None)
    return run if isinstance(run, TaskRun) else None


def generation(request: Any) -> int:
    """A number that grows with each retry and each replacement of a task."""
    retries = getattr(request, "retries", 0) or 0
    nesting = getattr(request, "replaced_task_nesting", 0) or 0
    return int(retries) + GENERATION * int(nesting)


def publication_id(task_id: str, state: str, request: Any) -> str:
    """The id that makes sending the same thing twice harmless.

    ``<task id>:end`` for what ends the task (one for all its executions), ``<task id>:<generation>:retry`` for a
    retry, and ``<task id>:<nonce>:<n>`` for anything else.
    """
    if state in READY_STATES:
        return f"{task_id}:end"
    if state == "RETRY":
        return f"{task_id}:{generation(request)}:retry"
    run = run_of(request)
    if run is None:
        return f"{task_id}:{os.urandom(6).hex()}:1"
    return f"{task_id}:{run.nonce}:{run.count()}"


def mark_of(state: str, request: Any) -> TaskMark:
    """What the log needs to tell a newer execution from an older one."""
    run = run_of(request)
    return TaskMark(run.nonce if run else "", generation(request), state)
