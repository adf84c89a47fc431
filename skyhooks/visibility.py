"""Redis as Celery's broker: what a lost worker had taken is found again, in every pool.

Redis does not know who has a message, so one that is not acknowledged within the *visibility timeout* counts as lost,
and any worker queues it again. kombu 5.7 looks for such messages in its event loop, which gevent and eventlet workers
do not have; where it polls instead, an answer of Redis always comes before it would look. So there we look.
"""

import functools
from collections.abc import Callable
from typing import Any, Final

import structlog
from celery import Celery

from skyhooks.pulse import Pulse

log = structlog.get_logger()

EVERY: Final = 10
"""Seconds between two looks, unless ``unacked_restore_interval`` of ``broker_transport_options`` says otherwise."""

OPTIONS: Final = {
    # Without these a server that vanished without a word is waited for until the kernel gives up.
    "socket_connect_timeout": 5.0,
    "socket_timeout": 30.0,
    "socket_keepalive": True,
    "health_check_interval": 25,
    "retry_on_timeout": True,
    # Each acknowledgement takes a connection for a moment; when too few are allowed, greenlets that end together lose
    # theirs, and their tasks run again.
    "max_connections": 10_000,
    # Look at each opportunity, and not at each tenth one.
    "unacked_restore_throttle": 1,
    # A worker that dies while it looks keeps the others from it for so many seconds, and not for 300.
    "unacked_mutex_expire": 15,
}
"""What ``broker_transport_options`` are besides the visibility timeout."""


def install(app: Celery) -> None:
    """Have the app's workers look. Calling it again changes nothing."""
    app.steps["consumer"].add(LostMessages)


class LostMessages(Pulse):
    """Part of each worker without an event loop: queues again what was taken too long ago."""

    def start(self, c: Any) -> None:
        """Called by Celery, once for each connection."""
        forgive_late_answers(c.task_consumer.channel)
        if c.hub is None:
            options = c.app.conf.broker_transport_options or {}
            every = float(options.get("unacked_restore_interval", EVERY))
            self.beat(c, every, functools.partial(restore, c.task_consumer.channel))


def restore(channel: Any) -> None:
    """Queue again what the channel's server counts as lost. An outage is left to those who consume."""
    if channel.closed or channel.connection is None:
        return
    try:
        channel.qos.restore_visible(num=channel.unacked_restore_limit, interval=1)
    except channel.connection_errors as error:
        log.debug("lost_messages_not_restored", error=str(error))


def forgive_late_answers(channel: Any) -> None:
    """Have acknowledgements and rejections on a channel whose connection was given up do nothing.

    A task may end after its worker has connected anew. kombu 5.7 then fails with an error that is no connection's, and
    the worker's main process ends with it. The message is queued again by its visibility timeout, as it would be.
    """

    def forgiving(answer: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(answer)
        def late(delivery_tag: str, *args: Any, **kwargs: Any) -> None:
            # Not every closed one: in a shutdown the last tasks are acknowledged on a closed channel, and that works.
            if channel.connection is None or channel.connection.client is None:
                log.info("late_answer_dropped", delivery_tag=delivery_tag, then="its message is queued again")
            else:
                answer(delivery_tag, *args, **kwargs)

        return late

    channel.basic_ack = forgiving(channel.basic_ack)
    channel.basic_reject = forgiving(channel.basic_reject)
