"""The courier: Celery's result and the publication both arrive, and what lies in the spool is taken along."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from skyhooks.celery_settings import CelerySettings
from skyhooks.courier import Courier
from skyhooks.errors import StoreUnavailable
from skyhooks.journal import Note, read_notes
from skyhooks.parcel import Contents, Parcel, StoredResult
from skyhooks.publication import TaskMark
from skyhooks.spool import Spool
from skyhooks.store.memory import MemoryStore
from skyhooks.webhook import encode_webhook
from tests.processes import eventually


class Moody(MemoryStore):
    """A store whose results facet can be away while its log is not."""

    away = False

    def put_result(self, key: str, value: bytes, ttl: float | None) -> None:
        if self.away:
            raise StoreUnavailable("away")
        super().put_result(key, value, ttl)


def contents(name: str = "t") -> Contents:
    line = encode_webhook({"task_id": name}, 1, f"{name}:end")
    return Contents(line, StoredResult(f"task:{name}", b"{}", None))


@pytest.fixture
def store() -> Moody:
    return Moody()


@pytest.fixture
def courier(store: Moody, tmp_path: Path) -> Iterator[Courier]:
    made = Courier(CelerySettings(), store, tmp_path)
    yield made
    made.close(5)


def test_both_parts_arrive(courier: Courier, store: Moody) -> None:
    courier.outbox.deliver(Parcel(contents()), 30)

    assert store.get_result("task:t") == b"{}"
    assert [one.id for one in store.read("tasks/t", 0).publications] == ["t:end"]


def test_the_publication_does_not_wait_for_the_result_and_is_not_sent_twice(courier: Courier, store: Moody) -> None:
    store.away = True
    parcel = Parcel(contents())
    thread = threading.Thread(target=courier.outbox.deliver, args=(parcel, 30))
    thread.start()
    eventually(lambda: store.head("tasks/t"))
    assert not parcel.settled

    store.away = False
    thread.join(30)

    assert parcel.settled
    assert store.get_result("task:t") == b"{}"
    assert len(store.read("tasks/t", 0).publications) == 1


def test_a_result_that_no_store_takes_holds_up_nothing(courier: Courier, store: Moody, tmp_path: Path) -> None:
    def refuse(key: str, value: bytes, ttl: float | None) -> None:
        if key == "task:huge":
            raise OverflowError("a document has up to 16 MiB")

    store.put_result = refuse  # type: ignore[method-assign]
    for name in ("huge", "small"):
        Spool(tmp_path, 10**6).put(contents(name))
    courier.drain()
    eventually(lambda: store.head("tasks/small") and store.head("tasks/huge"))
    eventually(lambda: not Spool(tmp_path, 10**6).waiting(10))


def test_the_spool_is_drained_in_order_and_emptied(courier: Courier, store: Moody, tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20)
    for number in range(3):
        spool.put(contents(f"t{number}"))

    courier.drain()
    courier.drain()

    eventually(lambda: not spool.waiting(9), what="an empty spool")
    assert [store.get_result(f"task:t{number}") for number in range(3)] == [b"{}"] * 3
    assert all(store.head(f"tasks/t{number}") for number in range(3))


def test_what_cannot_be_delivered_stays_in_the_spool_once(courier: Courier, store: Moody, tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20)
    store.away = True
    spool.put(contents())
    courier.drain()
    eventually(lambda: store.head("tasks/t"))

    courier.close(0.2)

    assert [found for _, found in spool.waiting(9)] == [contents()]


class TestTheJournal:
    """The courier tells the nodes that collect what has ended, after it is where it belongs."""

    @pytest.fixture
    def told(self, store: Moody, tmp_path: Path) -> Iterator[Callable[[], list[Note]]]:
        context = zmq.Context[Any]()
        socket = context.socket(zmq.PULL)
        socket.bind(f"ipc://{tmp_path}/journal")
        info = f'{{"url": "http://127.0.0.1:1", "role": "collector", "journal": "ipc://{tmp_path}/journal"}}'
        store.lease("nodes/n1", "n1", 60, info)
        found: list[Note] = []

        def read() -> list[Note]:
            while socket.poll(0):
                found.extend(read_notes(socket.recv_multipart()))
            return found

        yield read
        socket.close(0)
        context.term()

    def parcel(self, name: str, state: str, runtime: float | None = None) -> Parcel:
        keys = {"task_id": name, "account_id": "acme"}
        line = encode_webhook(keys, 1, f"{name}:{state}", TaskMark("run", 0, state))
        return Parcel(Contents(line, StoredResult(f"task:{name}", b"{}", None)), runtime=runtime)

    def test_it_hears_of_ends_and_of_nothing_else(self, courier: Courier, told: Callable[[], list[Note]]) -> None:
        for parcel in (self.parcel("a", "RETRY"), self.parcel("a", "SUCCESS", 0.25), self.parcel("b", "FAILURE")):
            courier.outbox.deliver(parcel, 30)

        eventually(lambda: len(told()) == 2)
        first, second = told()
        assert (first.event, first.account, first.task_id) == ("finished", "acme", "a")
        assert first.node.endswith(f":{os.getpid()}")
        assert (first.data, second.data) == ('{"state":"SUCCESS","runtime":0.25}', '{"state":"FAILURE"}')

    def test_it_hears_once_of_what_was_sent_twice(
        self, courier: Courier, store: Moody, told: Callable[[], list[Note]]
    ) -> None:
        store.away = True
        thread = threading.Thread(target=courier.outbox.deliver, args=(self.parcel("a", "SUCCESS"), 30))
        thread.start()
        eventually(lambda: store.head("tasks/a"))
        assert told() == []
        store.away = False
        thread.join(30)
        courier.outbox.deliver(self.parcel("b", "SUCCESS"), 30)

        eventually(lambda: len(told()) == 2)
        assert [note.task_id for note in told()] == ["a", "b"]
