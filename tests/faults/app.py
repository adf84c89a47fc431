# mypy: disable-error-code="untyped-decorator"
"""The Celery application of the fault runs: small tasks of every kind of end, set up as the documentation says."""

import os
import time
from typing import Any

from celery import Celery

from skyhooks import brokers
from tests.faults import bugs

QUEUE = "faults"


def make(broker_url: str) -> Celery:
    made = Celery("faults")
    brokers.configure(made, broker_url, queues=(QUEUE,), longest_task=10.0)
    made.conf.update(result_backend="skyhooks", task_track_started=True, worker_lost_wait=1.0)
    if os.environ.get(bugs.PLANTED) == bugs.EARLY_ACK:
        made.conf.update(task_acks_late=False, task_reject_on_worker_lost=False)
    return made


app = make(os.environ.get("FAULTS_BROKER", "memory://"))


@app.task(name="faults.ok")
def ok(number: int) -> int:
    return number


@app.task(name="faults.fails")
def fails(number: int) -> None:
    raise ValueError(f"number {number} fails")


@app.task(name="faults.slow", bind=True)
def slow(self: Any, number: int) -> int:
    self.update_state(state="PROGRESS", meta={"half": True})
    time.sleep(0.3)
    return number


@app.task(name="faults.retries", bind=True, max_retries=3)
def retries(self: Any, number: int) -> int:
    if self.request.retries < 1:
        raise self.retry(countdown=0.1)
    return number
