# mypy: disable-error-code="no-untyped-call"
"""RabbitMQ 3.10 or newer as Celery's broker: quorum queues, confirmed publishing, dead letters.

What shapes the configuration:

- A **quorum queue** is on the disks of a majority before a publisher is told so; with ``confirm_publish`` the publisher
  waits for that. Its kind is an argument of the queue, so all who use a queue must declare it alike: workers, apps and
  gateways take it from here.
- A task with an ETA or a countdown waits in RabbitMQ, in queues that Celery declares for it (its *native delayed
  delivery*), not in a worker: there it would hold a place of the prefetch, which a quorum queue cannot widen, and meet
  the consumer timeout. That needs topic exchanges. It counts whole seconds and fails on less than one, which
  `mended_sending` mends.
- A confirmation may not come for long: while a queue has no leader RabbitMQ keeps what is published to it, and says
  nothing. Celery waits until RabbitMQ misses the heartbeats of that connection, a minute or more, so `mended_sending`
  gives up earlier, and `mended_connecting` bounds the wait for that connection's goodbye, which does not come either.
  Celery then publishes again, by its retry policy.
- What RabbitMQ gives up goes to the **dead-letter exchange**: what a worker rejected, what expired before a worker saw
  it, what was delivered `DELIVERIES` times and never acknowledged (a task that kills its worker each time). One queue
  keeps it for people, another one shows it to the workers, so that those who wait for the task are told (`LostTasks`).
"""

import functools
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import structlog
from amqp.exceptions import PreconditionFailed
from billiard.exceptions import WorkerLostError
from celery import Celery, bootsteps
from celery.app.task import Context
from celery.utils.time import maybe_make_aware
from kombu import Consumer, Exchange, Queue  # type: ignore[attr-defined]
from kombu.transport.native_delayed_delivery import (
    bind_queue_to_native_delayed_delivery_exchange,
    declare_native_delayed_delivery_exchanges_and_queues,
)

from skyhooks import heartbeats
from skyhooks.errors import SettingsError

log = structlog.get_logger()

DEAD: Final = "celery.dead"
"""The dead-letter exchange, and the queue that keeps what came to it for people."""
LOST: Final = "celery.lost"
"""The queue from which workers learn of dead letters."""
DELIVERIES: Final = 20
"""How often a message is delivered before it is given up."""
KEEP_DEAD: Final = 14 * 24 * 3600.0
"""Seconds for which a dead letter is kept for people."""
MOST_DEAD: Final = 100_000
"""How many are kept; the oldest go first."""
HEARTBEAT: Final = 30.0
"""Seconds after which a silent connection is looked at; twice that, and it is given up."""
CONFIRM_SECONDS: Final = 15.0
"""How long a publisher waits for a confirmation, unless it says otherwise (``confirm_timeout``)."""
SILENCE_SECONDS: Final = 10.0
"""How long a publisher's connection waits for RabbitMQ to say anything; less than between two of its heartbeats, which
come at half of `HEARTBEAT`, or they would count as an answer."""
LOST_PREFETCH: Final = 10
_QUORUM: Final = {"x-queue-type": "quorum"}


def task_queue(name: str) -> Queue:
    """The queue of this name for tasks, with an exchange of the same name."""
    arguments = {
        **_QUORUM,
        "x-dead-letter-exchange": DEAD,
        # A dead letter is not lost on its way either, which asks for this overflow.
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-delivery-limit": DELIVERIES,
    }
    return Queue(name, Exchange(name, type="topic"), routing_key=name, queue_arguments=arguments)


def dead_letter_queues() -> tuple[Queue, Queue]:
    """The queue for people, and the one for workers."""
    exchange = Exchange(DEAD, type="fanout")
    bounds = {"x-message-ttl": int(KEEP_DEAD * 1000), "x-max-length": MOST_DEAD, "x-overflow": "drop-head"}
    dead = Queue(DEAD, exchange, queue_arguments={**_QUORUM, **bounds})
    return dead, Queue(LOST, exchange, queue_arguments=_QUORUM)


def settings(queues: Sequence[str]) -> dict[str, Any]:
    """The Celery settings for RabbitMQ; the first of `queues` takes the tasks that are not routed."""
    return {
        "broker_heartbeat": HEARTBEAT,
        "broker_transport_options": {"confirm_publish": True},
        "task_queues": [task_queue(name) for name in queues],
        "task_default_queue": queues[0],
        "task_default_exchange": queues[0],
        "task_default_routing_key": queues[0],
        "task_default_exchange_type": "topic",
        "task_default_queue_type": "quorum",
        "task_create_missing_queue_type": "quorum",
        "task_create_missing_queue_exchange_type": "topic",
        "broker_native_delayed_delivery_queue_type": "quorum",
    }


def install(app: Celery) -> None:
    """What no setting can do: mend short delays, and have workers look after dead letters. Once for each app."""
    app.steps["consumer"].add(LostTasks)
    heartbeats.install(app)
    if not hasattr(app.send_task, "mended"):
        app.send_task = mended_sending(app)
        app.connection_for_write = mended_connecting(app)


def prepare(app: Celery) -> None:
    """Declare everything, so that tasks can be submitted before a worker has ever run.

    Raises `OperationalError` of kombu when RabbitMQ does not answer, and `SettingsError` when it has something of these
    names that is different.
    """
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, reraise_as_library_errors=True)
        try:
            declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum")
            for queue in dead_letter_queues():
                queue(connection.default_channel).declare()
            for queue in app.amqp.queues.values():
                queue(connection.default_channel).declare()
                bind_queue_to_native_delayed_delivery_exchange(connection, queue)
        except PreconditionFailed as error:
            raise SettingsError(
                f"RabbitMQ has it already, but of another kind ({error.reply_text}): delete it there when it is empty, "
                "or take other names with brokers.configure(app, url, queues=('…',))"
            ) from error


def mended_sending(app: Celery) -> Any:
    """The app's ``send_task``, for which a delay of less than a second is a whole one, and which waits for a
    confirmation for `CONFIRM_SECONDS`.

    Celery 5.7 gives such a delay to RabbitMQ as zero seconds, which its own check refuses with `ValueError`; a retry
    that meets it is lost.
    """
    send = app.send_task

    @functools.wraps(send)
    def send_task(
        name: str, args: Any = None, kwargs: Any = None, countdown: Any = None, eta: Any = None, *rest: Any, **more: Any
    ) -> Any:
        left = countdown if eta is None else _seconds_until(eta, app)
        if left and 0 < left < 1:
            countdown, eta = 1, None
        more.setdefault("confirm_timeout", CONFIRM_SECONDS)
        return send(name, args, kwargs, countdown, eta, *rest, **more)

    send_task.mended = True  # type: ignore[attr-defined]
    return send_task


def mended_connecting(app: Celery) -> Any:
    """The app's ``connection_for_write``, whose connections wait for `SILENCE_SECONDS`; options of the app's own count.

    Those that workers read tasks from are left as they are.
    """
    connect = app.connection_for_write

    @functools.wraps(connect)
    def connection_for_write(*args: Any, **options: Any) -> Any:
        connection = connect(*args, **options)
        waits = {"read_timeout": SILENCE_SECONDS, "write_timeout": SILENCE_SECONDS}
        connection.transport_options = {**waits, **connection.transport_options}
        return connection

    return connection_for_write


def _seconds_until(eta: datetime | str, app: Celery) -> float:
    at = datetime.fromisoformat(eta) if isinstance(eta, str) else eta
    left: float = (maybe_make_aware(at, app.timezone) - app.now()).total_seconds()
    return left


class LostTasks(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Part of each worker: tells the end of a task whose message RabbitMQ gave up.

    A rejected one has had its end told by the worker that rejected it. The end has one id, so whoever says it again
    changes nothing, and never hides a result.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._consumer: Any = None

    def start(self, c: Any) -> None:
        """Called by Celery, once for each connection."""
        channel = c.connection.channel()
        channel.basic_qos(0, LOST_PREFETCH, False)
        dead, lost = dead_letter_queues()
        dead(channel).declare()
        on_message = functools.partial(tell_end, c.app)
        self._consumer = Consumer(channel, [lost], on_message=on_message, accept=c.app.conf.accept_content)
        self._consumer.consume()

    def stop(self, c: Any) -> None:
        """Called by Celery."""
        if self._consumer is not None and self._consumer.channel:
            bootsteps.ignore_errors(c.connection, self._consumer.channel.close)
        self._consumer = None

    shutdown = stop


def tell_end(app: Any, message: Any) -> None:
    """Tell the end of the task of a dead letter, unless the worker that rejected it has done so."""
    headers = message.headers or {}
    reason = reason_of(headers)
    task_id = headers.get("id")
    if task_id and reason in ("delivery_limit", "expired"):
        log.error("task_given_up", task_id=task_id, task=headers.get("task"), reason=reason, kept_in=DEAD)
        request = _request_of(message)
        if reason == "expired":
            app.backend.mark_as_revoked(task_id, "expired", request=request)
        else:
            error = WorkerLostError(f"RabbitMQ has delivered this task {DELIVERIES} times, and no worker ended it")
            app.backend.mark_as_failure(task_id, error, request=request)
    message.ack()


def reason_of(headers: dict[str, Any]) -> str:
    """Why a message became a dead letter, at last; empty when it did not."""
    deaths = headers.get("x-death") or [{}]
    return str(deaths[0].get("reason", ""))


def _request_of(message: Any) -> Context:
    """What the message asks for, with the tasks that follow it, which fail with it."""
    try:
        args, kwargs, embedded = message.decode()
    except Exception as error:  # whatever a codec raises for a body of somebody else's
        log.warning("dead_letter_unreadable", task_id=message.headers.get("id"), error=str(error))
        args, kwargs, embedded = (), {}, {}
    return Context(message.headers, args=args, kwargs=kwargs, **(embedded or {}))
