from celery import Celery

from skyhooks import rabbitmq


def test_a_task_queue_loses_nothing_and_gives_up_what_kills_its_workers() -> None:
    arguments = rabbitmq.task_queue("mail").queue_arguments
    assert arguments["x-queue-type"] == "quorum"
    assert arguments["x-dead-letter-strategy"] == "at-least-once"
    assert arguments["x-overflow"] == "reject-publish"
    assert arguments["x-delivery-limit"] == rabbitmq.DELIVERIES


def test_dead_letters_are_kept_for_people_within_bounds_and_shown_to_workers() -> None:
    dead, lost = rabbitmq.dead_letter_queues()
    assert dead.exchange == lost.exchange
    assert dead.queue_arguments["x-max-length"] == rabbitmq.MOST_DEAD
    assert "x-max-length" not in lost.queue_arguments


def test_installing_twice_changes_nothing_more() -> None:
    app = Celery("proj", set_as_current=False)
    rabbitmq.install(app)
    send = app.send_task
    rabbitmq.install(app)
    assert app.send_task is send
