"""The outbox: batches while one is under way, order within a task, and nothing that must arrive is dropped."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from skyhooks.backoff import Backoff
from skyhooks.outbox import Outbox
from skyhooks.parcel import Contents, Parcel
from skyhooks.spool import Spool
from skyhooks.webhook import encode_webhook
from tests.processes import eventually

SOON = Backoff(first=0.01, most=0.02)


def parcel(name: str, slot: str = "") -> Parcel:
    return Parcel(Contents(encode_webhook({"task_id": "t"}, name, name)), slot)


class Road:
    """Where parcels go: `open` lets them arrive, `hold` stops the sender in the middle of a batch."""

    def __init__(self) -> None:
        self.open = True
        self.hold = threading.Event()
        self.hold.set()
        self.batches: list[list[str]] = []

    def __call__(self, parcels: Sequence[Parcel]) -> None:
        self.batches.append([one.contents.webhook.split(b'"id":"')[1].split(b'"')[0].decode() for one in parcels])
        self.hold.wait(30)
        for one in parcels:
            one.published = self.open

    @property
    def arrived(self) -> list[str]:
        return [name for batch in self.batches for name in batch]


@pytest.fixture
def road() -> Road:
    return Road()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path, 1 << 20)


@pytest.fixture
def outbox(road: Road, spool: Spool) -> Iterator[Outbox]:
    made = Outbox(road, spool, limit=3, backoff=SOON)
    yield made
    road.open = True
    road.hold.set()
    made.close(5)


def background(call: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def test_what_comes_during_a_batch_makes_the_next_one(outbox: Outbox, road: Road) -> None:
    road.hold.clear()
    outbox.post(parcel("first"))
    eventually(lambda: road.batches)
    for name in ("a", "b", "c"):
        outbox.post(parcel(name))
    road.hold.set()

    eventually(lambda: len(road.arrived) == 4)
    assert road.batches == [["first"], ["a", "b", "c"]]


def test_delivering_blocks_until_it_has_arrived(outbox: Outbox, road: Road, spool: Spool) -> None:
    road.open = False
    one = parcel("end")
    thread = background(lambda: outbox.deliver(one, 30))
    eventually(lambda: len(road.batches) > 2)
    assert thread.is_alive()

    road.open = True
    thread.join(30)

    assert not thread.is_alive()
    assert one.settled
    assert spool.waiting(9) == []


def test_the_newest_progress_of_a_task_takes_the_place_of_the_older_one(outbox: Outbox, road: Road) -> None:
    road.hold.clear()
    outbox.post(parcel("first"))
    eventually(lambda: road.batches)
    for name, slot in (("1", "a"), ("2", "b"), ("3", "a")):
        outbox.post(parcel(name, slot))
    outbox.post(parcel("end"))
    road.hold.set()

    eventually(lambda: "end" in road.arrived)
    assert road.batches[1] == ["3", "2", "end"]


def test_progress_that_failed_gives_way_to_what_came_meanwhile(outbox: Outbox, road: Road) -> None:
    road.open = False
    road.hold.clear()
    outbox.post(parcel("old", "a"))
    eventually(lambda: road.batches)
    outbox.post(parcel("new", "a"))
    road.hold.set()
    eventually(lambda: len(road.batches) > 1)
    road.open = True

    eventually(lambda: road.batches[-1] == ["new"])
    assert road.arrived.count("old") == 1


def test_order_holds_through_failures(outbox: Outbox, road: Road) -> None:
    road.open = False
    outbox.post(parcel("started", "s"))
    outbox.post(parcel("progress", "p"))
    thread = background(lambda: outbox.deliver(parcel("end"), 30))
    eventually(lambda: [len(batch) for batch in road.batches].count(3) > 3)
    road.open = True
    thread.join(30)

    order = ["started", "progress", "end"]
    assert [batch for batch in road.batches if batch != order[: len(batch)]] == []


def test_too_much_progress_drops_the_oldest_and_no_result(outbox: Outbox, road: Road) -> None:
    road.hold.clear()
    outbox.post(parcel("first"))
    eventually(lambda: road.batches)
    for number in range(6):
        outbox.post(parcel(f"p{number}", f"slot{number}"))
        outbox.post(parcel(f"end{number}"))
    road.hold.set()

    eventually(lambda: "end5" in road.arrived)
    assert [name for name in road.arrived if name.startswith("p")] == ["p3", "p4", "p5"]
    assert [name for name in road.arrived if name.startswith("end")] == [f"end{number}" for number in range(6)]


def test_past_its_deadline_a_result_is_in_the_spool(outbox: Outbox, road: Road, spool: Spool) -> None:
    road.open = False
    late = parcel("late")

    outbox.deliver(late, 0.05)

    assert [found for _, found in spool.waiting(9)] == [late.contents]
    assert late.finished


def test_what_nobody_waits_for_is_spooled_after_its_first_failure(outbox: Outbox, road: Road, spool: Spool) -> None:
    road.open = False
    lost = parcel("worker lost")

    outbox.post(lost)

    eventually(lambda: spool.waiting(9))
    assert [found for _, found in spool.waiting(9)] == [lost.contents]


def test_whoever_gives_up_first_one_copy_is_spooled(outbox: Outbox, spool: Spool) -> None:
    one = parcel("end")
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(outbox.keep, [one] * 8)) == [True] * 8

    assert len(spool.waiting(9)) == 1


def test_progress_is_never_spooled(outbox: Outbox, road: Road, spool: Spool) -> None:
    road.open = False
    outbox.post(parcel("p", "a"))
    eventually(lambda: len(road.batches) > 3)

    assert spool.waiting(9) == []


def test_a_full_spool_makes_a_result_wait_on(road: Road, tmp_path: Path) -> None:
    outbox = Outbox(road, Spool(tmp_path, 1), backoff=SOON)
    road.open = False
    one = parcel("end")
    thread = background(lambda: outbox.deliver(one, 0.01))
    eventually(lambda: len(road.batches) > 3)
    assert thread.is_alive()

    road.open = True
    thread.join(30)
    assert one.settled


def test_an_interrupted_wait_leaves_the_result_with_the_outbox(
    outbox: Outbox, road: Road, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    road.open = False
    one = parcel("end")

    def interrupted(self: Parcel, timeout: float) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Parcel, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            outbox.deliver(one, 30)

    eventually(lambda: spool.waiting(9))
    assert [found for _, found in spool.waiting(9)] == [one.contents]


def test_a_fault_in_the_sender_loses_nothing(spool: Spool) -> None:
    attempts: list[int] = []

    def send(parcels: Sequence[Parcel]) -> None:
        attempts.append(len(parcels))
        if len(attempts) < 3:
            raise ZeroDivisionError
        for one in parcels:
            one.published = True

    outbox = Outbox(send, spool, backoff=SOON)
    one = parcel("end")

    outbox.deliver(one, 30)

    assert one.settled
    assert attempts == [1, 1, 1]


def test_closing_sends_what_waits(outbox: Outbox, road: Road) -> None:
    road.hold.clear()
    outbox.post(parcel("first"))
    eventually(lambda: road.batches)
    outbox.post(parcel("second"))
    road.hold.set()

    outbox.close(30)

    assert road.arrived == ["first", "second"]


def test_closing_spools_what_does_not_arrive(outbox: Outbox, road: Road, spool: Spool) -> None:
    road.hold.clear()
    outbox.post(parcel("in flight"))
    eventually(lambda: road.batches)
    outbox.post(parcel("waiting"))
    outbox.post(parcel("progress", "p"))

    outbox.close(0.05)

    assert sorted(found.webhook for _, found in spool.waiting(9)) == sorted(
        parcel(name).webhook for name in ("in flight", "waiting")
    )
