"""The Celery application of the tests, written as a user's would be: nothing of skyhooks but its result backend."""

import os

from celery import Celery

from skyhooks import broker


def make(url: str) -> Celery:
    made = Celery("case")
    made.conf.update(
        result_backend="skyhooks",
        imports=("tests.integration.case_tasks",),
        task_acks_late=not os.environ.get("SKYHOOKS_CASE_EARLY"),
        task_reject_on_worker_lost=True,
        task_track_started=not os.environ.get("SKYHOOKS_CASE_UNTRACKED"),
        result_chord_retry_interval=0.1,
        worker_lost_wait=1.0,
    )
    broker.configure(made, url)
    return made


if "SKYHOOKS_CASE_BROKER" in os.environ:
    app = make(os.environ["SKYHOOKS_CASE_BROKER"])
