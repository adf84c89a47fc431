# mypy: disable-error-code="no-untyped-call"
"""Celery's broker: does it answer, and does it lose or repeat tasks as it is set up."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from celery import Celery
from celery.app.task import Task
from kombu.connection import Connection

from skyhooks import brokers
from skyhooks.broker import folder_of
from skyhooks.checkup.application import own_tasks
from skyhooks.checkup.finding import Finding, Mistake, check, good
from skyhooks.checkup.subject import Subject
from skyhooks.checkup.visit import TIMEOUT
from skyhooks.errors import SettingsError

VISIBILITY: Final = 3600.0
"""Seconds of kombu's default ``visibility_timeout`` for Redis."""
KEEPS_ALL: Final = "noeviction"

BAD_BROKER: Final = Mistake(
    "bad_broker",
    "fail",
    "the broker's URL names none.",
    "set broker_url, SKYHOOKS_BROKER or --broker: file:///absolute/folder, amqp://… or redis://…",
)
BROKER_MISSING: Final = Mistake(
    "broker_missing",
    "warn",
    "the folder of the embedded broker is not there: nothing has been submitted, no worker has run.",
    "correct the URL, or start what makes it: skyhooks up, or a worker",
)
BROKER_UNREACHABLE: Final = Mistake(
    "broker_unreachable",
    "fail",
    "the broker does not answer, refuses user or password, or its library is not installed.",
    "start it, or correct broker_url; Redis also needs pip install 'celery[redis]'",
)
BROKER_EXPOSED: Final = Mistake(
    "broker_exposed",
    "fail",
    "the folder of the embedded broker can be entered by other users: they could read tasks, or submit their own.",
    "chmod 700 {folder}",
)
NOT_JSON: Final = Mistake(
    "not_json",
    "fail",
    "tasks are not serialized as JSON, and the embedded broker carries nothing else.",
    "set task_serializer = 'json' and accept_content = ['json']",
)
VISIBILITY_TIMEOUT: Final = Mistake(
    "visibility_timeout",
    "fail",
    "Redis hands a task to a second worker while the first one still has it: its visibility_timeout is shorter than a "
    "task's time limit or retry delay.",
    "set broker_transport_options = {{'visibility_timeout': …}} above {longest} seconds, or lower the task's limit",
)
REDIS_EVICTS: Final = Mistake(
    "redis_evicts",
    "fail",
    "Redis may throw tasks away when its memory is full.",
    "set maxmemory-policy noeviction in redis.conf (docs/brokers.md)",
)
CLASSIC_QUEUE: Final = Mistake(
    "classic_queue",
    "warn",
    "a queue of RabbitMQ is a classic one, which lives on one node: it may go with that, and keeps no count of "
    "deliveries.",
    "use skyhooks.brokers.configure(app, url), or set task_default_queue_type = 'quorum' and give other queues the "
    "argument x-queue-type: quorum; a queue that is there has to be deleted first",
)
NO_CONFIRMS: Final = Mistake(
    "no_confirms",
    "warn",
    "tasks are published to RabbitMQ without waiting for its confirmation, so one can vanish unseen.",
    "set broker_transport_options = {{'confirm_publish': True}}",
)


@check(
    BAD_BROKER,
    BROKER_MISSING,
    BROKER_UNREACHABLE,
    BROKER_EXPOSED,
    NOT_JSON,
    VISIBILITY_TIMEOUT,
    REDIS_EVICTS,
    CLASSIC_QUEUE,
    NO_CONFIRMS,
)
def broker(subject: Subject) -> Iterator[Finding]:
    """Whether the broker answers, and is set up so that no task is lost or runs twice."""
    try:
        connections = subject.connections()
    except (SettingsError, ValueError, KeyError) as error:
        yield BAD_BROKER.found(f"broker: {error}")
        return
    except Exception as error:  # whatever the import of a transport's library raises
        yield BROKER_UNREACHABLE.found(f"broker: its transport cannot be loaded ({type(error).__name__}: {error})")
        return
    for number, connection in enumerate(connections):
        with connection:
            yield from _broker(connection, subject.app if number == 0 else None)


def _broker(connection: Connection, app: Celery | None) -> Iterator[Finding]:
    """What is found about one broker; `app` when it is the one of an app."""
    try:
        folder = folder_of(str(connection.hostname or ""))
    except SettingsError as error:
        yield BAD_BROKER.found(f"broker: {error}")
        return
    if folder is not None and not folder.is_dir():
        # Not connected to, because that would make it.
        yield BROKER_MISSING.found(f"broker: the folder {folder} is not there")
        return
    url = str(connection.as_uri())
    yield from _connected(connection, url)
    if folder is not None:
        yield from _private(folder)
    if app is not None:
        yield from _set_up(app, "embedded" if folder else brokers.kind_of(url))


def _connected(connection: Connection, url: str) -> Iterator[Finding]:
    try:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=TIMEOUT)
        policy = _eviction(connection)
    except Exception as error:  # each transport raises its own, also for a library that is not installed
        yield BROKER_UNREACHABLE.found(f"broker: {url} cannot be reached ({type(error).__name__}: {error})")
        return
    yield good(f"broker: {url} answers")
    if policy not in ("", KEEPS_ALL):
        yield REDIS_EVICTS.found(f"broker: {url} has maxmemory-policy {policy}")


def _eviction(connection: Connection) -> str:
    """What a Redis does when it is full; empty for others, and where it does not tell."""
    if connection.transport.driver_type != "redis":
        return ""
    try:
        channel: Any = connection.default_channel
        found: dict[str, str] = channel.client.config_get("maxmemory-policy")
    except connection.channel_errors:  # hosted ones forbid CONFIG
        return ""
    return str(found.get("maxmemory-policy", ""))


def _private(folder: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o077:
        yield BROKER_EXPOSED.found(f"broker: {folder} has mode {mode:04o}", folder=folder)


def _set_up(app: Celery, kind: brokers.Kind) -> Iterator[Finding]:
    """What the app's settings mean for a broker of this kind."""
    conf = app.conf
    if kind == "embedded" and conf.task_serializer != "json":
        yield NOT_JSON.found(f"broker: task_serializer is {conf.task_serializer!r}")
    if kind == "redis":
        yield from _visible_long_enough(app)
    if kind == "rabbitmq":
        yield from _classic_queues(app)
        if not (conf.broker_transport_options or {}).get("confirm_publish"):
            yield NO_CONFIRMS.found("broker: confirm_publish is off")


def _visible_long_enough(app: Celery) -> Iterator[Finding]:
    options = app.conf.broker_transport_options or {}
    timeout = float(options.get("visibility_timeout", VISIBILITY))
    longest, why = 0.0, ""
    for task in own_tasks(app):
        for seconds, what in _durations(task, app.conf):
            if seconds > longest:
                longest, why = seconds, f"{what} of {task.name} is {seconds:g} s"
    if longest >= timeout:
        what = f"broker: visibility_timeout is {timeout:g} s, and the {why}"
        yield VISIBILITY_TIMEOUT.found(what, longest=f"{longest:g}")


def _durations(task: Any, conf: Any) -> Iterator[tuple[float, str]]:
    yield float(task.time_limit or conf.task_time_limit or 0.0), "time limit"
    if task.default_retry_delay != Task.default_retry_delay:  # Celery's own says nothing of this task
        yield float(task.default_retry_delay or 0.0), "retry delay"


def _classic_queues(app: Celery) -> Iterator[Finding]:
    kinds = {name: (queue.queue_arguments or {}) for name, queue in app.amqp.queues.items()}
    classic = [name for name, arguments in kinds.items() if arguments.get("x-queue-type") not in ("quorum", "stream")]
    if classic:
        yield CLASSIC_QUEUE.found(f"broker: declared as classic: {', '.join(classic)}")
