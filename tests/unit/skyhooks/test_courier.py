"""The courier: Celery's result and the publication both arrive, and what lies in the spool is taken along."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from skyhooks.celery_settings import CelerySettings
from skyhooks.courier import Courier
from skyhooks.errors import StoreUnavailable
from skyhooks.parcel import Contents, Parcel, StoredResult
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
