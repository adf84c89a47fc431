"""Which broker a URL names, and how Celery is to use it so that no task is lost: ``brokers.configure(app, url)``.

`docs/brokers.md` says what each setting is for and what each broker promises.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

from celery import Celery

from skyhooks import broker, rabbitmq, recovery, visibility
from skyhooks.errors import SettingsError

Kind = Literal["embedded", "rabbitmq", "redis", "other"]

QUEUE: Final = "celery"
"""The queue of tasks that are not routed elsewhere: Celery's own default."""
LONGEST_TASK: Final = 3600.0
"""Seconds that a task may take, or wait for its ETA, before Redis takes it for lost."""

SCHEMES: Final[dict[str, Kind]] = {
    **dict.fromkeys(broker.SCHEMES, "embedded"),
    **dict.fromkeys(("amqp", "amqps", "pyamqp"), "rabbitmq"),
    **dict.fromkeys(("redis", "rediss", "redis+socket", "sentinel"), "redis"),
}

SAFE: Final = {
    # The task of a worker that was killed runs again, also when only its pool process was.
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    # A task that waits in a worker is one that no other worker can take.
    "worker_prefetch_multiplier": 1,
    # Celery tells a result backend when a task begins.
    "task_track_started": True,
    # A broker that is away is waited for, however long.
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    # A task that runs while the connection breaks has a result, and the log takes the first one only.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
}
"""Settings that every broker needs."""


def kind_of(url: str) -> Kind:
    """What a broker's URL names; of several, separated by semicolons, the first one counts."""
    return SCHEMES.get(url.partition(":")[0], "other")


def settings_for(url: str, *, queues: Sequence[str] = (QUEUE,), longest_task: float = LONGEST_TASK) -> dict[str, Any]:
    """The Celery settings for the broker at `url`.

    The first of `queues` takes the tasks that are not routed elsewhere. `longest_task` is in seconds: no task may
    take longer, nor may an ETA be further away, where the broker is Redis. Raises `SettingsError`.
    """
    if not queues or longest_task <= 0:
        raise SettingsError(f"expected at least one queue and a longest_task above 0; got {queues!r}, {longest_task!r}")
    kind = kind_of(url)
    made = {**SAFE, "task_default_queue": queues[0], **broker.settings_for(url)}
    if kind == "rabbitmq":
        made |= rabbitmq.settings(queues)
    elif kind == "redis":
        made["broker_transport_options"] = {**visibility.OPTIONS, "visibility_timeout": longest_task}
    return made


def configure(app: Celery, url: str, *, queues: Sequence[str] = (QUEUE,), longest_task: float = LONGEST_TASK) -> None:
    """Set a Celery app up for the broker at `url`. See `settings_for`; settings that are made later count.

    Call it once, in the module that workers and whoever submits tasks share: they must agree on the queues.
    """
    app.conf.update(settings_for(url, queues=queues, longest_task=longest_task))
    if kind_of(url) == "rabbitmq":
        rabbitmq.install(app)
    elif kind_of(url) == "redis":
        visibility.install(app)
    elif kind_of(url) == "embedded":
        recovery.install(app)


def prepare(url: str) -> None:
    """Make what a broker needs before anything starts, and see that it answers.

    Raises `SettingsError`, `OSError` for a folder that cannot be made, or kombu's `OperationalError` when the
    broker does not answer.
    """
    if kind_of(url) == "embedded":
        broker.prepare(url)
        return
    app = Celery("skyhooks-prepare", set_as_current=False)
    configure(app, url)
    try:
        if kind_of(url) == "rabbitmq":
            rabbitmq.prepare(app)
        else:
            answers(app)
    finally:
        app.close()


def answers(app: Celery) -> None:
    """Raises kombu's `OperationalError` when an app's broker does not answer."""
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, reraise_as_library_errors=True)
