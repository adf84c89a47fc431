"""The tasks of the Celery tests: one for each way in which a task can go."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import group, shared_task
from celery.exceptions import SoftTimeLimitExceeded


@shared_task
def ok(value: Any = None) -> Any:
    return value


@shared_task
def add(numbers: list[int]) -> int:
    return sum(numbers)


@shared_task
def boom(message: str = "boom") -> None:
    raise ValueError(message)


@shared_task(bind=True)
def progress(self: Any, steps: int, pause: float = 0.05) -> str:
    for step in range(steps):
        self.update_state(state="PROGRESS", meta={"step": step})
        time.sleep(pause)
    return "through"


@shared_task(bind=True, max_retries=5)
def retried(self: Any, times: int) -> int:
    if self.request.retries < times:
        # Not at once: what an execution says after the next one has begun is superseded.
        raise self.retry(exc=ConnectionError(f"try {self.request.retries}"), countdown=0.5)
    return int(self.request.retries)


@shared_task(ignore_result=True)
def ignored(value: Any = None) -> Any:
    return value


@shared_task(ignore_result=True)
def ignored_boom() -> None:
    raise ValueError("nobody stores this")


@shared_task(ignore_result=True)
def ignored_object() -> object:
    return object()


@shared_task
def large(size: int) -> str:
    return "x" * size


@shared_task
def nested(value: Any) -> str:
    return str(ok.delay(value).id)


@shared_task(bind=True)
def replaced(self: Any, value: Any) -> Any:
    return self.replace(ok.s(value))


@shared_task(bind=True, max_retries=2)
def replaced_after_retry(self: Any) -> Any:
    if self.request.retries < 2:
        raise self.retry(exc=ValueError("once more"), countdown=0)
    return self.replace(boom.s("the replacement failed"))


@shared_task(bind=True)
def replaced_by_group(self: Any, values: list[Any]) -> Any:
    return self.replace(group(ok.s(value) for value in values))


@shared_task
def sleeps(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


@shared_task
def patient(seconds: float) -> str:
    """Sees its soft limit coming and gives a result all the same."""
    try:
        time.sleep(seconds)
    except SoftTimeLimitExceeded:
        return "cleaned up"
    return "slept"


@shared_task
def waits_for(path: str) -> str:
    """Runs until a file exists."""
    while not Path(path).exists():
        time.sleep(0.02)
    return "seen"


@shared_task
def killed_once(marker: str) -> str:
    """Loses its process in the first run, and succeeds in the second."""
    if Path(marker).exists():
        return "survived"
    Path(marker).touch()
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


@shared_task(reject_on_worker_lost=False)
def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
