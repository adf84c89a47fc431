"""Redis as Celery's broker: what a lost worker had taken is found again, in every pool.

Redis does not know who has a message, so one that is not acknowledged within the *visibility timeout* counts as lost,
and any worker queues it again. kombu 5.7 looks for such messages in its event loop, which gevent and eventlet workers
do not have; where it polls instead, an answer of Redis always comes before it would look. So there we look.
"""

import functools
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
        notice_the_end(c.task_consumer.channel)
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


def notice_the_end(channel: Any) -> None:
    """Have whatever needs a channel's server after its connection was given up fail as a lost connection does.

    A task may end after its worker has connected anew, and a channel queues again what it holds when it is closed.
    kombu 5.7 then looks for an address that is no longer there, with an error that is no connection's, and the
    worker's main process ends with it. Celery knows what to do about a lost connection; the message waits for its
    visibility timeout.
    """
    parameters = channel._connparams

    @functools.wraps(parameters)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if channel.connection is None or channel.connection.client is None:
            raise ConnectionError("the connection to Redis was given up")
        return parameters(*args, **kwargs)

    channel._connparams = checked
