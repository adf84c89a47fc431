"""More tasks for the tables of pools and outages, in addition to those of `case_tasks`."""

import time
from pathlib import Path
from typing import Any

from celery import shared_task
from celery.exceptions import Reject

from tests.integration import case_tasks


@shared_task(bind=True)
def custom_states(self: Any) -> str:
    """Goes through states that Celery does not know."""
    for state in ("MIXING", "BAKING"):
        self.update_state(state=state, meta={"oven": state.lower()})
        time.sleep(0.3)  # a newer state replaces one that still waits
    return "bread"


@shared_task
def eager(plain: str, stored: str) -> list[Any]:
    """Runs two tasks within itself; of the second one the result is stored."""
    return [
        case_tasks.ok.apply(("plain",), task_id=plain).result,
        eagerly_stored.apply(("stored",), task_id=stored).result,
    ]


@shared_task(store_eager_result=True)
def eagerly_stored(value: str) -> str:
    return value


@shared_task
def rejected() -> None:
    raise Reject("not for me", requeue=False)


@shared_task
def never_taken() -> None:
    """Goes back to the broker each time."""
    raise Reject("somebody else, please", requeue=True)


@shared_task(bind=True)
def retried_soon(self: Any, countdown: float) -> int:
    """Tries again after a while, once."""
    if not self.request.retries:
        raise self.retry(exc=ConnectionError("not yet"), countdown=countdown)
    return int(self.request.retries)


@shared_task(ignore_result=True)
def notes(path: str) -> None:
    """Tells nobody but a file that it ran."""
    with Path(path).open("a") as file:
        file.write(f"{time.monotonic()}\n")
