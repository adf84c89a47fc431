"""What is asked of RabbitMQ, delays of less than a second, and what a dead letter says of its task."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context

from skyhooks import brokers, rabbitmq


@pytest.fixture
def app() -> Iterator[Celery]:
    made = Celery("x", set_as_current=False)
    brokers.configure(made, "amqp://nowhere//", queues=("jobs", "mail"))
    yield made
    made.close()


def test_every_queue_is_a_quorum_queue_with_dead_letters(app: Celery) -> None:
    queues = app.amqp.queues
    assert list(queues) == ["jobs", "mail"]
    for queue in queues.values():
        assert queue.queue_arguments["x-queue-type"] == "quorum"
        assert queue.queue_arguments["x-dead-letter-exchange"] == "celery.dead"
        assert queue.queue_arguments["x-dead-letter-strategy"] == "at-least-once"
        assert queue.queue_arguments["x-overflow"] == "reject-publish"
        assert queue.queue_arguments["x-delivery-limit"] == 20
        assert queue.exchange.type == "topic", "delays need it"
    assert app.amqp.default_queue.name == "jobs"


def test_a_queue_that_is_only_named_is_a_quorum_queue_too(app: Celery) -> None:
    assert app.amqp.queues["other"].queue_arguments == {"x-queue-type": "quorum"}


def test_dead_letters_are_kept_for_people_within_bounds_and_shown_to_workers() -> None:
    dead, lost = rabbitmq.dead_letter_queues()
    assert dead.exchange == lost.exchange
    assert dead.queue_arguments["x-max-length"] == rabbitmq.MOST_DEAD
    assert dead.queue_arguments["x-message-ttl"] == rabbitmq.KEEP_DEAD * 1000
    assert "x-max-length" not in lost.queue_arguments


def test_publishers_wait_for_confirmation(app: Celery) -> None:
    assert app.conf.broker_transport_options["confirm_publish"] is True


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, (None, None)),
        ({"countdown": 0}, (0, None)),
        ({"countdown": 0.2}, (1, None)),
        ({"countdown": 1}, (1, None)),
        ({"countdown": 1.5}, (1.5, None)),
        ({"countdown": -3}, (-3, None)),
        ({"eta": NOW + timedelta(seconds=0.2)}, (1, None)),
        ({"eta": (NOW + timedelta(seconds=0.2)).isoformat()}, (1, None)),
        ({"eta": NOW + timedelta(seconds=9)}, (None, NOW + timedelta(seconds=9))),
        ({"eta": NOW - timedelta(seconds=9)}, (None, NOW - timedelta(seconds=9))),
        ({"eta": (NOW + timedelta(seconds=0.2)).replace(tzinfo=None)}, (1, None)),
    ],
)
def test_a_delay_of_less_than_a_second_is_a_whole_one(given: dict[str, Any], sent: tuple[Any, Any]) -> None:
    class Sender:
        timezone = UTC

        def now(self) -> datetime:
            return NOW

        def send_task(self, *args: Any, **options: Any) -> tuple[Any, ...]:
            return args, options

    send = rabbitmq.mended_sending(Sender())  # type: ignore[arg-type]
    args, options = send("t", [1], {"a": 2}, task_id="x", **given)
    assert args == ("t", [1], {"a": 2}, *sent)
    assert options == {"task_id": "x", "confirm_timeout": rabbitmq.CONFIRM_SECONDS}
    assert send("t", confirm_timeout=3)[1] == {"confirm_timeout": 3}


def test_a_publishers_connection_waits_for_a_while_and_a_workers_as_long_as_it_takes() -> None:
    app = Celery("t", broker="amqp://", set_as_current=False)
    brokers.configure(app, "amqp://guest@127.0.0.1:1//")
    written, read = app.connection_for_write().transport_options, app.connection_for_read().transport_options
    assert written == {**read, "read_timeout": rabbitmq.SILENCE_SECONDS, "write_timeout": rabbitmq.SILENCE_SECONDS}
    assert rabbitmq.SILENCE_SECONDS < rabbitmq.HEARTBEAT / 2
    app.conf.broker_transport_options = {**read, "read_timeout": 3}
    assert app.connection_for_write().transport_options["read_timeout"] == 3


class Letter:
    """A message that came to the queue of dead letters."""

    def __init__(self, reason: str, body: Any = None, **headers: Any) -> None:
        self.headers = {
            "id": "t1",
            "task": "shop.charge",
            **headers,
            "x-death": [{"reason": reason}, {"reason": "older"}],
        }
        self._body = body
        self.acked = False

    def decode(self) -> Any:
        if self._body is None:
            raise ValueError("not JSON")
        return self._body

    def ack(self) -> None:
        self.acked = True


class Told:
    """Stands for a result backend: what it was told of the ends of tasks."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, str, str, Context]] = []

    def mark_as_failure(self, task_id: str, error: Exception, request: Context) -> None:
        self.ends.append(("FAILURE", task_id, type(error).__name__, request))

    def mark_as_revoked(self, task_id: str, reason: str, request: Context) -> None:
        self.ends.append(("REVOKED", task_id, reason, request))


@pytest.mark.parametrize(
    ("letter", "ends"),
    [
        (Letter("delivery_limit", [[1], {}, {}]), [("FAILURE", "t1", "WorkerLostError")]),
        (Letter("expired", [[1], {}, {}]), [("REVOKED", "t1", "expired")]),
        (Letter("rejected", [[1], {}, {}]), []),
        (Letter("maxlen", [[1], {}, {}]), []),
        (Letter("delivery_limit", [[1], {}, {}], id=None), []),
        (Letter("delivery_limit"), [("FAILURE", "t1", "WorkerLostError")]),
    ],
    ids=lambda value: value.headers["x-death"][0]["reason"] if isinstance(value, Letter) else None,
)
def test_what_was_given_up_has_its_end_told(letter: Letter, ends: list[tuple[str, str, str]]) -> None:
    class App:
        backend = Told()

    rabbitmq.tell_end(App, letter)

    assert [end[:3] for end in App.backend.ends] == ends
    assert letter.acked


def test_what_follows_a_task_that_was_given_up_is_known() -> None:
    class App:
        backend = Told()

    chain = [{"task": "next", "options": {"task_id": "t2"}}]
    rabbitmq.tell_end(App, Letter("delivery_limit", [[1], {"a": 2}, {"chain": chain}], skyhooks_account="acme"))

    request = App.backend.ends[0][3]
    assert (request.id, request.task, request.chain, request.args) == ("t1", "shop.charge", chain, [1])
    assert request.skyhooks_account == "acme"


def test_a_message_that_never_died_has_no_reason() -> None:
    assert rabbitmq.reason_of({}) == ""
