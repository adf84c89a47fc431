from pathlib import Path

import pytest
from celery import Celery

from skyhooks import brokers
from skyhooks.errors import SettingsError


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("file:///tmp/broker", "embedded"),
        ("amqp://guest@localhost//", "rabbitmq"),
        ("amqps://a;amqps://b", "rabbitmq"),
        ("redis://localhost/0", "redis"),
        ("sentinel://localhost:26379", "redis"),
        ("sqs://", "other"),
    ],
)
def test_the_url_says_which_broker_it_is(url: str, kind: str) -> None:
    assert brokers.kind_of(url) == kind


@pytest.mark.parametrize("url", ["file:///tmp/broker", "amqp://localhost//", "redis://localhost/0", "sqs://"])
def test_with_every_broker_a_task_is_acknowledged_when_it_is_done(url: str) -> None:
    made = brokers.settings_for(url)
    assert made["task_acks_late"] is True
    assert made["task_reject_on_worker_lost"] is True
    assert made["task_track_started"] is True
    assert made["worker_prefetch_multiplier"] == 1


def test_redis_does_not_take_the_longest_task_for_lost() -> None:
    made = brokers.settings_for("redis://localhost/0", longest_task=7200)
    assert made["broker_transport_options"]["visibility_timeout"] == 7200


def test_rabbitmq_gets_quorum_queues_confirms_and_dead_letters() -> None:
    made = brokers.settings_for("amqp://localhost//", queues=["mail", "reports"])
    assert [queue.name for queue in made["task_queues"]] == ["mail", "reports"]
    for queue in made["task_queues"]:
        assert queue.queue_arguments["x-queue-type"] == "quorum"
        assert queue.queue_arguments["x-dead-letter-exchange"]
    assert made["broker_transport_options"] == {"confirm_publish": True}
    assert made["task_default_queue"] == "mail"


@pytest.mark.parametrize("options", [{"queues": []}, {"longest_task": 0}])
def test_what_cannot_work_is_refused(options: dict) -> None:
    with pytest.raises(SettingsError):
        brokers.settings_for("redis://localhost/0", **options)


def test_an_app_is_configured_in_place(tmp_path: Path) -> None:
    app = Celery("proj", set_as_current=False)
    url = f"file://{tmp_path}/broker"
    brokers.configure(app, url)
    brokers.prepare(url)
    assert app.conf.broker_url == url
    assert (tmp_path / "broker").is_dir()
