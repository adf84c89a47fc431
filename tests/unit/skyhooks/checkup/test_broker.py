"""Brokers, each real: the folder, Redis, RabbitMQ; and what can be wrong with each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import Queue

from skyhooks import brokers
from skyhooks.checkup import Subject
from skyhooks.checkup.broker import broker
from tests.processes import free_ports
from tests.servers.rabbitmq import rabbitmq
from tests.servers.redis import Redis
from tests.unit.skyhooks.checkup.planting import app, environment, names


def configured(url: str, **conf: Any) -> Celery:
    """An app whose broker is set up as it should be, but for these settings."""
    made = app()
    brokers.configure(made, url)
    made.conf.update(conf)
    return made


def nothing() -> None:
    """A task."""


def found(folder: Path, celery: Celery) -> list[str]:
    return names(broker, Subject(environment(folder), celery))


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("redis"), keep=False)
    yield server
    server.kill()


def test_the_embedded_broker_is_good_once_it_is_there(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/broker"
    assert found(tmp_path, configured(url)) == ["broker_missing"]
    assert not (tmp_path / "broker").exists()
    brokers.prepare(url)
    assert found(tmp_path, configured(url)) == []


@pytest.mark.parametrize(("mode", "expected"), [(0o700, []), (0o755, ["broker_exposed"]), (0o770, ["broker_exposed"])])
def test_a_folder_that_others_may_enter(tmp_path: Path, mode: int, expected: list[str]) -> None:
    url = f"file://{tmp_path}/broker"
    brokers.prepare(url)
    (tmp_path / "broker").chmod(mode)
    assert found(tmp_path, configured(url)) == expected


def test_a_serializer_that_the_embedded_broker_does_not_carry(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/broker"
    brokers.prepare(url)
    assert found(tmp_path, configured(url, task_serializer="msgpack")) == ["not_json"]


def test_a_url_that_names_no_broker(tmp_path: Path) -> None:
    for subject in (
        Subject(environment(tmp_path), broker_url="file://relative"),
        Subject(environment(tmp_path), app(broker_url="file://relative", broker_transport="skyhooks.broker:Transport")),
        Subject(environment(tmp_path), app(broker_url="nonsense://localhost")),
    ):
        assert names(broker, subject) == ["bad_broker"]


@pytest.mark.parametrize("url", ["redis://user:hidden@127.0.0.1:{port}/0", "amqp://user:hidden@127.0.0.1:{port}//"])
def test_a_broker_that_does_not_answer_and_its_password(tmp_path: Path, url: str) -> None:
    celery = configured(url.format(port=free_ports()))
    (finding,) = [one for one in broker(Subject(environment(tmp_path), celery)) if one.level != "ok"]
    assert finding.name == "broker_unreachable"
    assert "hidden" not in finding.what + finding.fix


def test_a_broker_whose_library_is_not_installed(tmp_path: Path) -> None:
    assert found(tmp_path, app(broker_url="sqs://")) == ["broker_unreachable"]


def test_redis_is_good_as_it_is_shipped(tmp_path: Path, redis: Redis) -> None:
    assert found(tmp_path, configured(redis.url())) == []


@pytest.mark.parametrize(
    ("task", "timeout", "expected"),
    [
        ({"time_limit": 500}, 600, []),
        ({"time_limit": 700}, 600, ["visibility_timeout"]),
        ({"default_retry_delay": 700}, 600, ["visibility_timeout"]),
        ({}, 100, []),
        ({"time_limit": 5000}, None, ["visibility_timeout"]),
    ],
)
def test_redis_hands_a_task_out_again_before_it_ends(
    tmp_path: Path, redis: Redis, task: dict[str, int], timeout: int | None, expected: list[str]
) -> None:
    options = {"broker_transport_options": {} if timeout is None else {"visibility_timeout": timeout}}
    celery = configured(redis.url(), **options)
    celery.task(name="shop.pay", shared=False, **task)(nothing)
    assert found(tmp_path, celery) == expected


def test_a_limit_for_all_tasks_counts_too(tmp_path: Path, redis: Redis) -> None:
    celery = configured(redis.url(), task_time_limit=7200)
    celery.task(name="shop.pay", shared=False)(nothing)
    assert found(tmp_path, celery) == ["visibility_timeout"]


def test_a_redis_that_throws_tasks_away(tmp_path: Path, redis: Redis) -> None:
    celery = configured(redis.url())
    with celery.connection_for_write() as connection:
        client: Any = connection.default_channel.client
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert found(tmp_path, celery) == ["redis_evicts"]
        finally:
            client.config_set("maxmemory-policy", "noeviction")


def test_rabbitmq_is_good_as_we_set_it_up_and_not_as_celery_does(tmp_path: Path) -> None:
    with rabbitmq(tmp_path / "rabbitmq") as server:
        assert found(tmp_path, configured(server.url)) == []
        assert found(tmp_path, app(broker_url=server.url)) == ["classic_queue", "no_confirms"]
        mixed = configured(server.url, task_queues=[Queue("fast"), *configured(server.url).conf.task_queues])
        (finding,) = [one for one in broker(Subject(environment(tmp_path), mixed)) if one.level != "ok"]
        assert (finding.name, finding.what.rpartition(" ")[2]) == ("classic_queue", "fast")


def test_without_an_app_the_broker_that_is_named_counts_else_the_embedded_one(tmp_path: Path, redis: Redis) -> None:
    embedded = f"file://{tmp_path}/broker"
    alone = Subject(environment(tmp_path), embedded=embedded)
    assert names(broker, alone) == ["broker_missing"]
    named = list(broker(Subject(environment(tmp_path), broker_url=redis.url(), embedded=embedded)))
    assert [(one.level, str(redis.port) in one.what) for one in named] == [("ok", True)]
