"""RabbitMQ and Redis as they are set up: what they keep, what they give up, and who is told."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from amqp.exceptions import ChannelError
from celery import Celery
from kombu import Connection, Exchange, Queue
from kombu.exceptions import KombuError

from skyhooks import brokers, rabbitmq
from skyhooks.errors import SettingsError
from tests.integration.celery_stage import account
from tests.integration.pool_stage import PoolStage, opened
from tests.mongod import ReplicaSet
from tests.processes import eventually
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

__all__ = ["account"]


@pytest.fixture
def stage(rabbitmq_server: RabbitMQ, mongodb: ReplicaSet, tmp_path: Path) -> Iterator[PoolStage]:
    """A store and RabbitMQ, and no process on them yet."""
    with opened(tmp_path, mongodb.url("brokers"), rabbitmq_server.url) as made:
        yield made


def depth(url: str, queue: str) -> int:
    """How many messages a queue has ready."""
    with Connection(url) as connection:
        return int(connection.default_channel.queue_declare(queue, passive=True).message_count)


def kept_dead(url: str, task_id: str) -> bool:
    """Whether the queue for people has the message of a task; it takes what it has looked at."""
    with Connection(url) as connection:
        while (message := connection.default_channel.basic_get(rabbitmq.DEAD, no_ack=True)) is not None:
            if message.headers.get("id") == task_id:
                return True
    return False


class TestRabbitMQ:
    def test_a_publisher_is_told_when_a_task_was_not_taken(self, stage: PoolStage) -> None:
        """Without confirms it would go on as if it had been."""
        # A connection of the pool may have been idle for so long that RabbitMQ has closed it.
        with stage.app.connection_for_write() as connection, pytest.raises(ChannelError):
            stage.app.amqp.Producer(connection).publish({}, exchange=f"nowhere-{uuid4().hex}", routing_key="x")

    def test_a_confirmation_that_does_not_come_is_not_waited_for_long(
        self, stage: PoolStage, account: str, rabbitmq_server: RabbitMQ, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(rabbitmq, "CONFIRM_SECONDS", 0.5)
        monkeypatch.setattr(rabbitmq, "SILENCE_SECONDS", 0.5)
        stage.call("ok", account=account)  # from here on there is a connection
        rabbitmq_server.pause()
        try:
            with ThreadPoolExecutor() as threads:
                sending = threads.submit(stage.call, "ok", account=account, retry=False)
                given_up, _ = wait([sending], timeout=20)
                rabbitmq_server.resume()  # or the thread would not end
            assert given_up
            assert isinstance(sending.exception(), KombuError | OSError)
        finally:
            rabbitmq_server.resume()

    def test_what_a_task_rejects_is_kept_for_people_and_its_end_is_told_once(
        self, stage: PoolStage, account: str
    ) -> None:
        stage.worker("threads")
        result = stage.call("rejected", account=account)

        assert stage.end(result.id)["state"] == "FAILURE"
        eventually(lambda: kept_dead(stage.broker_url, result.id), what="the dead letter")
        eventually(lambda: depth(stage.broker_url, rabbitmq.LOST) == 0, what="the workers have seen it")
        assert stage.ends(account) == {result.id: ["FAILURE"]}

    @pytest.mark.parametrize("pool", ["gevent", "prefork"])
    def test_a_task_that_no_worker_keeps_is_given_up_and_its_end_told(
        self, stage: PoolStage, account: str, pool: str
    ) -> None:
        stage.worker(pool)
        result = stage.call("never_taken", account=account)

        end = stage.end(result.id)
        assert (end["state"], end["error"]["code"], end["task"]) == (
            "FAILURE",
            "worker_lost",
            "tests.integration.pool_tasks.never_taken",
        )
        # A run that says so after the next one has begun is not heard.
        assert 2 <= stage.states(result.id).count("STARTED") <= rabbitmq.DELIVERIES + 1
        eventually(lambda: kept_dead(stage.broker_url, result.id), what="the dead letter")
        assert stage.ends(account) == {result.id: ["FAILURE"]}
        assert result.state == "FAILURE"

    def test_a_chain_ends_with_the_step_that_was_given_up(self, stage: PoolStage, account: str) -> None:
        stage.worker("threads")
        first = stage.app.signature("tests.integration.pool_tasks.never_taken", app=stage.app)
        last = (first | stage.signature("ok")).apply_async(headers={"skyhooks_account": account})

        assert stage.end(last.id)["error"]["code"] == "worker_lost"
        assert stage.ends(account) == {last.parent.id: ["FAILURE"], last.id: ["FAILURE"]}

    def test_a_task_that_expires_while_there_is_no_worker_ends_when_there_is_one(
        self, stage: PoolStage, account: str
    ) -> None:
        before = depth(stage.broker_url, rabbitmq.LOST)
        result = stage.send("ok", account=account, expires=datetime.now(UTC) + timedelta(seconds=0.2))
        eventually(lambda: depth(stage.broker_url, rabbitmq.LOST) > before, what="RabbitMQ has given it up")

        stage.worker("gevent")

        assert stage.end(result.id)["error"]["code"] == "expired"
        assert stage.ends(account) == {result.id: ["REVOKED"]}

    def test_a_task_with_an_eta_waits_in_rabbitmq_and_not_in_a_worker(self, stage: PoolStage, account: str) -> None:
        first = stage.worker("threads")
        result = stage.send("ok", account=account, countdown=3)
        stage.end(stage.send("ok").id)
        held = stage.app.control.inspect(timeout=1)
        assert list((held.scheduled() or {}).values()) == list((held.reserved() or {}).values()) == [[]]
        first.close()

        stage.worker("threads")

        assert stage.end(result.id)["state"] == "SUCCESS"
        assert stage.ends(account) == {result.id: ["SUCCESS"]}

    def test_a_delayed_task_can_be_submitted_before_there_was_ever_a_worker(
        self, stage: PoolStage, account: str
    ) -> None:
        brokers.prepare(stage.broker_url)
        rabbitmq.prepare(stage.app)
        result = stage.send("ok", account=account, countdown=1)
        queue = stage.env["SKYHOOKS_CASE_QUEUE"]
        eventually(lambda: depth(stage.broker_url, queue) == 1, what="the task in its queue")

        stage.worker("solo")

        stage.end(result.id)

    def test_a_queue_that_is_there_and_is_of_another_kind_is_said(self, rabbitmq_server: RabbitMQ) -> None:
        name = f"old-{uuid4().hex[:8]}"
        with Connection(rabbitmq_server.url) as connection:
            Queue(name, Exchange(name), name)(connection.default_channel).declare()
        app = Celery("late", set_as_current=False)
        brokers.configure(app, rabbitmq_server.url, queues=(name,))
        with pytest.raises(SettingsError, match="of another kind"):
            rabbitmq.prepare(app)
        app.close()


@pytest.mark.parametrize(
    ("broker", "pool"),
    [
        *(("rabbitmq", pool) for pool in ("gevent", "prefork", "threads", "solo")),
        *(("redis", pool) for pool in ("gevent", "prefork")),
    ],
)
def test_what_a_killed_worker_had_taken_another_one_runs(
    rabbitmq_server: RabbitMQ,
    redis_server: Redis,
    mongodb: ReplicaSet,
    tmp_path: Path,
    account: str,
    broker: str,
    pool: str,
) -> None:
    """RabbitMQ notices at once; Redis after the longest time that a task may take, which is short here."""
    url = rabbitmq_server.url if broker == "rabbitmq" else redis_server.url(15)
    with opened(tmp_path, mongodb.url("killed"), url, {"SKYHOOKS_CASE_LONGEST": "2"}) as stage:
        first = stage.worker(pool)
        results = [stage.send("waits_for", str(tmp_path / "go"), account=account) for _ in range(2)]
        eventually(lambda: any(stage.states(one.id) == ["STARTED"] for one in results), what="one runs")
        first.close()
        (tmp_path / "go").touch()

        stage.worker(pool)

        for result in results:
            assert stage.end(result.id, within=45)["result"] == "seen"
        assert stage.ends(account) == {one.id: ["SUCCESS"] for one in results}
