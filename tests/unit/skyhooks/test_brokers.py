"""What a broker's URL means for Celery's settings. What the servers make of it is in tests/integration."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from skyhooks import broker, brokers
from skyhooks.errors import SettingsError
from skyhooks.heartbeats import EventHeartbeats
from skyhooks.rabbitmq import LostTasks
from skyhooks.recovery import DeadWorkers
from skyhooks.visibility import LostMessages, notice_the_end
from tests.processes import free_ports


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("file:///x/broker", "embedded"),
        ("amqp://user:pass@host//", "rabbitmq"),
        ("amqps://host//;amqps://other//", "rabbitmq"),
        ("pyamqp://host//", "rabbitmq"),
        ("redis://host/0", "redis"),
        ("rediss://host/0", "redis"),
        ("sentinel://host:26379;sentinel://other:26379", "redis"),
        ("sqs://", "other"),
        ("memory://", "other"),
        ("", "other"),
    ],
)
def test_the_scheme_says_which_broker_it_is(url: str, kind: str) -> None:
    assert brokers.kind_of(url) == kind


@pytest.mark.parametrize("url", ["file:///x/broker", "amqp://host//", "redis://host/0", "memory://"])
def test_on_every_broker_no_task_is_lost_with_its_worker(url: str) -> None:
    made = brokers.settings_for(url)

    assert made["broker_url"] == url
    assert (made["task_acks_late"], made["task_reject_on_worker_lost"]) == (True, True)
    assert made["task_track_started"] is True
    assert made["worker_prefetch_multiplier"] == 1
    assert made["broker_connection_max_retries"] is None
    assert made["task_default_queue"] == "celery"


def test_redis_waits_for_the_longest_task() -> None:
    assert brokers.settings_for("redis://h")["broker_transport_options"]["visibility_timeout"] == 3600
    made = brokers.settings_for("redis://h", longest_task=7200)
    assert made["broker_transport_options"]["visibility_timeout"] == 7200


@pytest.mark.parametrize("wrong", [{"queues": ()}, {"longest_task": 0}, {"longest_task": -1.0}])
def test_what_cannot_be_meant_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="at least one queue and a longest_task above 0"):
        brokers.settings_for("redis://h", **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "steps"),
    [
        ("amqp://h//", {LostTasks, EventHeartbeats}),
        ("redis://h", {LostMessages}),
        ("file:///x", {DeadWorkers}),
        ("memory://", set()),
    ],
)
def test_workers_get_what_no_setting_can_do_and_once(url: str, steps: set[type]) -> None:
    app = Celery("x", set_as_current=False)
    for _ in range(2):
        brokers.configure(app, url)

    assert app.steps["consumer"] == steps
    assert hasattr(app.send_task, "mended") == url.startswith("amqp")


def test_preparing_makes_the_folder_of_an_embedded_broker(tmp_path: Path) -> None:
    brokers.prepare(f"file://{tmp_path}/broker")

    assert broker.folder_of(f"file://{tmp_path}/broker") == tmp_path / "broker"
    assert (tmp_path / "broker").is_dir()


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_preparing_says_that_a_broker_does_not_answer(scheme: str) -> None:
    with pytest.raises(OperationalError):
        brokers.prepare(f"{scheme}://127.0.0.1:{free_ports()}")


class Channel:
    """As much of kombu's as is needed to find a server."""

    def __init__(self) -> None:
        self.connection: Any = SimpleNamespace(client=SimpleNamespace(hostname="h"))

    def _connparams(self, asynchronous: bool = False) -> tuple[str, bool]:
        return self.connection.client.hostname, asynchronous


def test_a_connection_that_was_given_up_counts_as_lost() -> None:
    channel = Channel()
    notice_the_end(channel)
    assert channel._connparams(asynchronous=True) == ("h", True)
    channel.connection.client = None
    with pytest.raises(ConnectionError, match="given up"):
        channel._connparams()
    channel.connection = None
    with pytest.raises(ConnectionError, match="given up"):
        channel._connparams()


def test_what_is_patched_is_there_and_a_lost_connection_is_known_as_one() -> None:
    from kombu.transport import redis

    assert callable(redis.Channel._connparams)
    assert issubclass(ConnectionError, redis.Transport.connection_errors)
