"""The embedded broker as Celery and kombu see it: processes share it, and nothing is lost, doubled or torn."""

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from celery import Celery
from kombu import Connection, Consumer, Exchange, Producer, Queue
from structlog.testing import capture_logs

from skyhooks.broker import TRANSPORT, configure, folder_of, keep_recovering, prepare, requeue_unfinished
from skyhooks.broker_folder import BrokerFolder
from skyhooks.errors import SettingsError, StoreUnavailable
from skyhooks.publication import Draft, TaskMark
from skyhooks.store.memory import MemoryStore
from tests.conftest import Spawn
from tests.processes import eventually


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path / 'broker'}"


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    with Connection(url, transport=TRANSPORT) as made:
        yield made


def take(connection: Connection, queue: Queue, count: int, settle: bool = True) -> list[Any]:
    """The bodies of the next `count` messages."""
    found: list[Any] = []

    def receive(body: Any, message: Any) -> None:
        found.append(body)
        if settle:
            message.ack()

    with Consumer(connection, [queue], callbacks=[receive], accept=["json"]):
        while len(found) < count:
            connection.drain_events(timeout=10)
    return found


def test_a_url_names_a_folder_or_another_broker(tmp_path: Path) -> None:
    assert folder_of("file:///a/b%20c") == Path("/a/b c")
    assert folder_of("filesystem:///a") == Path("/a")
    assert folder_of("amqp://guest@localhost//") is None
    for bad in ("file://relative/path", "file://", "file:///"):
        with pytest.raises(SettingsError, match="file:///absolute/folder"):
            folder_of(bad)


def test_another_broker_is_left_to_celery() -> None:
    app = Celery("x")
    configure(app, "redis://localhost/1")

    assert app.conf.broker_url == "redis://localhost/1"
    assert app.conf.broker_transport is None
    prepare("redis://localhost/1")


def test_an_app_publishes_and_counts(url: str) -> None:
    app = Celery("x", set_as_current=False)
    configure(app, url)
    app.conf.task_ignore_result = True
    for number in range(3):
        app.send_task("t", [number])

    with app.connection_for_read() as connection:
        assert connection.default_channel.queue_declare("celery").message_count == 3
        assert connection.as_uri() == url
    app.close()


def test_the_folders_can_be_made_before_anything_starts(url: str, tmp_path: Path) -> None:
    prepare(url)
    prepare(url)

    assert (tmp_path / "broker").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["direct", "topic", "fanout"])
def test_each_kind_of_exchange_routes_between_connections(connection: Connection, url: str, kind: str) -> None:
    exchange = Exchange(f"ex-{kind}", kind)
    queues = [Queue(f"q{n}-{kind}", exchange, routing_key="a.b") for n in range(2)]
    other = Queue(f"other-{kind}", exchange, routing_key="c.d")
    for queue in (*queues, other):
        queue(connection.default_channel).declare()

    with Connection(url, transport=TRANSPORT) as publisher:
        Producer(publisher.default_channel, exchange).publish({"n": 1}, routing_key="a.b", serializer="json")

    assert [take(connection, queue, 1) for queue in queues] == [[{"n": 1}]] * 2
    assert BrokerFolder(Path(url.removeprefix("file://"))).size(other.name) == (1 if kind == "fanout" else 0)


def test_two_folders_in_one_process_do_not_share_bindings(tmp_path: Path) -> None:
    queue = Queue("q", Exchange("ex", "topic"), routing_key="a.#")
    for name in ("one", "two"):
        with Connection(f"file://{tmp_path / name}", transport=TRANSPORT) as connection:
            queue(connection.default_channel).declare()
        assert [bound for _, _, bound in BrokerFolder(tmp_path / name).bindings("ex")] == ["q"]


def test_an_acknowledged_message_leaves_no_file(connection: Connection, tmp_path: Path) -> None:
    Producer(connection.default_channel).publish({"n": 1}, routing_key="celery", serializer="json")
    message = connection.default_channel.basic_get("celery")
    assert list((tmp_path / "broker" / "taken").rglob("*=*"))

    message.ack()

    assert not list((tmp_path / "broker" / "taken").rglob("*=*"))


def test_only_json_is_carried(connection: Connection) -> None:
    with pytest.raises(SettingsError, match="task_serializer = 'json'"):
        Producer(connection.default_channel).publish({1, 2}, routing_key="celery", serializer="pickle")


def test_a_message_that_is_not_acknowledged_comes_back_when_the_connection_closes(url: str) -> None:
    queue = Queue("celery")
    with Connection(url, transport=TRANSPORT) as first:
        Producer(first.default_channel).publish({"n": 1}, routing_key="celery", declare=[queue], serializer="json")
        assert take(first, queue, 1, settle=False) == [{"n": 1}]

    with Connection(url, transport=TRANSPORT) as second:
        message = second.default_channel.basic_get("celery")
        assert message.payload == {"n": 1}
        assert message.delivery_info["redelivered"] is True
        message.ack()
        assert second.default_channel.basic_get("celery") is None


def test_rejecting_a_message_drops_it_or_queues_it_again(connection: Connection) -> None:
    Producer(connection.default_channel).publish({"n": 1}, routing_key="celery", serializer="json")
    connection.default_channel.basic_get("celery").requeue()
    connection.default_channel.basic_get("celery").reject()

    assert connection.default_channel.basic_get("celery") is None
    assert requeue_unfinished(connection.hostname, MemoryStore()).requeued == 0


def test_a_message_without_acknowledgement_leaves_no_file(connection: Connection, tmp_path: Path) -> None:
    Producer(connection.default_channel).publish({"n": 1}, routing_key="celery", serializer="json")

    assert connection.default_channel.basic_get("celery", no_ack=True).payload == {"n": 1}
    assert not list((tmp_path / "broker" / "taken").rglob("*=*"))


def test_a_damaged_message_is_set_aside_and_the_next_one_comes(connection: Connection, tmp_path: Path) -> None:
    channel = connection.default_channel
    Producer(channel).publish({"n": 1}, routing_key="celery", serializer="json")
    (tmp_path / "broker" / "queues" / "celery" / "00000000000000000000-torn").write_bytes(b'{"body": ')

    assert channel.basic_get("celery").payload == {"n": 1}
    assert len(list((tmp_path / "broker" / "damaged").iterdir())) == 1


def test_what_a_dead_worker_had_is_queued_again_unless_its_end_is_published(url: str, spawn: Spawn) -> None:
    app = Celery("x", set_as_current=False)
    configure(app, url)
    app.conf.task_ignore_result = True
    for task_id in ("done", "open", "half"):
        app.send_task("t", task_id=task_id)
    app.close()
    code = (
        "import os, sys; from kombu import Connection\n"
        "channel = Connection(sys.argv[1], transport='skyhooks.broker:Transport').default_channel\n"
        "[channel.basic_get('celery') for _ in range(3)]\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert spawn([sys.executable, "-c", code, url]).wait() == -9
    store = MemoryStore()
    for task_id, name, state in (("done", "done:end", "SUCCESS"), ("half", "half:run:1", "STARTED")):
        mark = TaskMark("run", 0, state)
        store.append([Draft(id=name, channels=(f"tasks/{task_id}",), data=b"1", task=mark)])

    found = requeue_unfinished(url, store)

    assert (found.requeued, found.finished) == (2, 1)
    with Connection(url, transport=TRANSPORT) as connection:
        left = [connection.default_channel.basic_get("celery").headers["id"] for _ in range(2)]
        assert sorted(left) == ["half", "open"]


def test_queues_of_dead_processes_do_not_grow(url: str, spawn: Spawn, tmp_path: Path) -> None:
    code = (
        "import os, sys; from kombu import Connection, Exchange, Queue\n"
        "connection = Connection(sys.argv[1], transport='skyhooks.broker:Transport')\n"
        "Queue('dead', Exchange('ev', 'fanout'), auto_delete=True)(connection.default_channel).declare()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert spawn([sys.executable, "-c", code, url]).wait() == -9
    folder = BrokerFolder(tmp_path / "broker")
    assert len(folder.bindings("ev")) == 1

    requeue_unfinished(url, MemoryStore())

    assert folder.bindings("ev") == []


def test_a_worker_keeps_recovering_while_its_store_is_away(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, stopped = MemoryStore(), threading.Event()
    folder, dead = BrokerFolder(tmp_path / "broker"), BrokerFolder(tmp_path / "broker")
    folder.prepare()
    folder.put("celery", b'{"headers": {"id": "t"}}')
    dead.take("celery")
    dead.close()

    def away(channel: str) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(store, "head", away)
        keeping = threading.Thread(target=keep_recovering, args=(url, store, stopped, 0.01))
        with capture_logs() as logs:
            keeping.start()
            eventually(lambda: len(logs) > 1)
        assert {entry["event"] for entry in logs} == {"broker_recovery_postponed"}
    eventually(lambda: folder.size("celery") == 1, what="the message back in its queue")

    stopped.set()
    keeping.join(10)
    assert not keeping.is_alive()


PUBLISHER = """
import sys
from kombu import Connection, Exchange, Producer, Queue
url, who, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
exchange = Exchange("work", "direct")
queue = Queue("work", exchange, routing_key="work")
with Connection(url, transport="skyhooks.broker:Transport") as connection:
    producer = Producer(connection.default_channel, exchange)
    for number in range(count):
        body = {"n": [who, number], "pad": "x" * (number * 37 % 9000)}
        producer.publish(body, routing_key="work", declare=[queue], serializer="json")
"""

CONSUMER = """
import json, sys
from kombu import Connection, Consumer, Exchange, Queue
found = []
def receive(body, message):
    found.append(body["n"])
    message.ack()
queue = Queue("work", Exchange("work", "direct"), routing_key="work")
with Connection(sys.argv[1], transport="skyhooks.broker:Transport") as connection:
    with Consumer(connection, [queue], callbacks=[receive], accept=["json"], prefetch_count=1):
        print("ready", flush=True)
        while found[-1:] != [[-1, -1]]:
            connection.drain_events(timeout=30)
print("found", json.dumps(found[:-1]), flush=True)
"""


def test_many_publishers_and_consumers_lose_nothing_and_double_nothing(url: str, spawn: Spawn, tmp_path: Path) -> None:
    publishers, each, consumers = 4, 400, 2
    readers = [spawn([sys.executable, "-c", CONSUMER, url]) for _ in range(consumers)]
    for reader in readers:
        reader.wait_for("ready")
    writers = [spawn([sys.executable, "-c", PUBLISHER, url, str(who), str(each)]) for who in range(publishers)]

    assert [writer.wait() for writer in writers] == [0] * publishers
    folder = BrokerFolder(tmp_path / "broker")
    eventually(lambda: folder.size("work") == 0, what="an empty queue")
    with Connection(url, transport=TRANSPORT) as connection:
        for _ in readers:
            eventually(lambda: folder.size("work") == 0)
            Producer(connection.default_channel).publish({"n": [-1, -1]}, routing_key="work", serializer="json")

    found = [tuple(one) for reader in readers for one in json.loads(reader.wait_for(r"found (.*)")[1])]
    assert sorted(found) == [(who, number) for who in range(publishers) for number in range(each)]
    assert list((tmp_path / "broker" / "damaged").iterdir()) == []
    assert msgspec.json.decode((tmp_path / "broker" / "exchanges" / "work").read_bytes()) == [["work", "", "work"]]
