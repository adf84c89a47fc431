"""The Celery application of the tests on production brokers, set up as docs/brokers.md says."""

import os
from collections.abc import Mapping

from celery import Celery

from skyhooks import brokers

TICK = 0.3
"""Seconds between the tasks that beat submits."""


def make(environ: Mapping[str, str]) -> Celery:
    made = Celery("pools")
    brokers.configure(
        made,
        environ["SKYHOOKS_CASE_BROKER"],
        queues=(environ["SKYHOOKS_CASE_QUEUE"],),
        longest_task=float(environ.get("SKYHOOKS_CASE_LONGEST", "60")),
    )
    made.conf.update(
        result_backend="skyhooks",
        imports=("tests.integration.case_tasks", "tests.integration.pool_tasks"),
        result_chord_retry_interval=0.1,
        worker_lost_wait=1.0,
    )
    if made.conf.broker_url.startswith("redis:"):
        made.conf.broker_transport_options["unacked_restore_interval"] = 1
    if account := environ.get("SKYHOOKS_CASE_BEAT"):
        tick = {"task": "tests.integration.case_tasks.ok", "schedule": TICK, "args": ("tick",)}
        made.conf.beat_schedule = {"tick": {**tick, "options": {"headers": {"skyhooks_account": account}}}}
    return made


if "SKYHOOKS_CASE_QUEUE" in os.environ:
    app = make(os.environ)
