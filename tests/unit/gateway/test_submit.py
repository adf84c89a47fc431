import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery
from celery.signals import before_task_publish

from gateway.submit import Submitter, Terms, make_sender
from skyhooks.errors import Refused, StoreUnavailable
from skyhooks.publication import Draft
from skyhooks.store.base import Head
from skyhooks.store.memory import MemoryStore
from skyhooks.store.threaded import ThreadedStore
from tests.contract.clock import Clock
from tests.unit.gateway.broker import MEMORY, emptied, sent


class AwayStore(MemoryStore):
    """A store that cannot be read now."""

    def head(self, channel: str) -> Head | None:
        raise StoreUnavailable("the disk is away")


@pytest.fixture
async def store() -> AsyncIterator[ThreadedStore]:
    store = ThreadedStore(MemoryStore())
    yield store
    await store.close()


@pytest.fixture(params=["embedded", "memory"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Celery]:
    with emptied(make_sender(f"file://{tmp_path}/broker" if request.param == "embedded" else MEMORY)) as app:
        yield app


@pytest.fixture
def silent_broker() -> Iterator[str]:
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"amqp://guest:guest@127.0.0.1:{server.getsockname()[1]}//"


async def test_the_message_carries_name_arguments_id_and_account(app: Celery, store: ThreadedStore) -> None:
    submitted = await Submitter(app, store).submit("proj.add", [2], {"to": 3}, "acme")
    (message,) = sent(app)
    assert message.headers["task"] == "proj.add"
    assert message.headers["id"] == submitted.task_id
    assert message.headers["skyhooks_account"] == "acme"
    assert not message.headers["ignore_result"]
    assert message.payload[:2] == [[2], {"to": 3}]


async def test_the_positions_are_those_before_the_task_was_sent(app: Celery, store: ThreadedStore) -> None:
    (before,) = await store.append([Draft(id="1", channels=("accounts/acme",), data=b"{}")])
    submitted = await Submitter(app, store, draw_id=lambda: "t1").submit("proj.add", [], {}, "acme")
    assert submitted.channels == {"task": "tasks/t1", "account": "accounts/acme"}
    assert submitted.positions == {"tasks/t1": "0", "accounts/acme": str(before.positions["accounts/acme"])}


async def test_an_account_without_history_is_watched_from_the_start(app: Celery, store: ThreadedStore) -> None:
    submitted = await Submitter(app, store).submit("proj.add", [], {}, "new")
    assert submitted.positions["accounts/new"] == "0"


async def test_without_an_account_there_is_only_the_task_s_channel(app: Celery, store: ThreadedStore) -> None:
    submitted = await Submitter(app, store, draw_id=lambda: "t1").submit("proj.add", [], {}, None)
    assert submitted.channels == {"task": "tasks/t1"}
    assert submitted.positions == {"tasks/t1": "0"}
    (message,) = sent(app)
    assert message.headers.get("skyhooks_account") is None


async def test_two_submissions_are_two_tasks(app: Celery, store: ThreadedStore) -> None:
    submitter = Submitter(app, store)
    first, second = await asyncio.gather(*(submitter.submit("proj.add", [], {}, None) for _ in range(2)))
    assert first.task_id != second.task_id
    assert {message.headers["id"] for message in sent(app)} == {first.task_id, second.task_id}


async def test_nothing_is_sent_when_the_position_cannot_be_read(app: Celery) -> None:
    with pytest.raises(StoreUnavailable):
        await Submitter(app, ThreadedStore(AwayStore())).submit("proj.add", [], {}, "acme")
    assert sent(app) == []


async def test_a_broker_that_is_away_is_refused_as_unavailable(
    store: ThreadedStore, free_port: Callable[..., int]
) -> None:
    submitter = Submitter(make_sender(f"amqp://guest:guest@127.0.0.1:{free_port()}//"), store)
    with pytest.raises(Refused) as caught:
        await submitter.submit("proj.add", [], {}, "acme")
    assert (caught.value.code, caught.value.status) == ("broker_unavailable", 503)
    assert int(caught.value.headers["Retry-After"]) > 0
    assert "was not submitted" in caught.value.detail


async def test_an_embedded_broker_that_cannot_be_written_is_refused_as_unavailable(
    store: ThreadedStore, tmp_path: Path
) -> None:
    (tmp_path / "broker").write_text("a file where the folder should be")
    submitter = Submitter(make_sender(f"file://{tmp_path}/broker"), store)
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            await submitter.submit("proj.add", [], {}, "acme")
        assert caught.value.code == "broker_unavailable"
    (tmp_path / "broker").unlink()
    await submitter.submit("proj.add", [], {}, "acme")


async def test_a_silent_broker_is_given_up_without_holding_up_the_loop(
    store: ThreadedStore, silent_broker: str
) -> None:
    submitter = Submitter(make_sender(silent_broker, timeout=0.4), store, timeout=0.2)
    submitting = asyncio.ensure_future(submitter.submit("proj.add", [], {}, "acme"))
    turns = 0
    while not submitting.done():
        await asyncio.sleep(0)
        turns += 1
    with pytest.raises(Refused) as caught:
        await submitting
    assert caught.value.code == "broker_unavailable"
    assert "may have reached it" in caught.value.detail
    assert turns > 10


async def test_a_thread_lets_go_of_a_silent_broker_by_itself(store: ThreadedStore, silent_broker: str) -> None:
    submitter = Submitter(make_sender(silent_broker, timeout=0.4), store, timeout=3)
    with pytest.raises(Refused) as caught:
        await submitter.submit("proj.add", [], {}, "acme")
    assert "was not submitted" in caught.value.detail


async def test_what_was_given_up_while_it_waited_for_a_thread_is_never_sent(app: Celery, store: ThreadedStore) -> None:
    held = threading.Event()
    entered = threading.Event()

    def hold(**_: object) -> None:
        entered.set()
        held.wait(10)

    before_task_publish.connect(hold, sender="proj.slow", weak=False)
    try:
        submitter = Submitter(app, store, threads=1, timeout=0.2)
        first = asyncio.ensure_future(submitter.submit("proj.slow", [], {}, None))
        await asyncio.to_thread(entered.wait, 10)
        with pytest.raises(Refused):
            await submitter.submit("proj.late", [], {}, None)
        with pytest.raises(Refused):
            await first
    finally:
        held.set()
        before_task_publish.disconnect(hold, sender="proj.slow")
    await submitter.submit("proj.next", [], {}, None)
    assert [message.headers["task"] for message in sent(app)] == ["proj.slow", "proj.next"]


class TestTerms:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def memory(self, clock: Clock) -> MemoryStore:
        return MemoryStore(clock)

    @pytest.fixture
    async def store(self, memory: MemoryStore) -> AsyncIterator[ThreadedStore]:
        store = ThreadedStore(memory)
        yield store
        await store.close()

    @staticmethod
    def due(memory: MemoryStore, clock: Clock) -> dict[str, float]:
        clock.advance(1e6)
        return {one.reason: one.seconds for one in memory.overdue()}

    @pytest.mark.parametrize(
        ("terms", "stored"),
        [
            (Terms(), {"deadline": 60.0}),
            (Terms(deadline=5), {"deadline": 5.0}),
            (Terms(deadline=0), {}),
            (Terms(expires=10), {"deadline": 60.0, "expired": 12.0}),
            (Terms(deadline=0, expires=10), {"expired": 12.0}),
        ],
    )
    async def test_they_are_stored_for_the_leader(
        self,
        app: Celery,
        store: ThreadedStore,
        memory: MemoryStore,
        clock: Clock,
        terms: Terms,
        stored: dict[str, float],
    ) -> None:
        submitter = Submitter(app, store, deadline=60, grace=2, draw_id=lambda: "t1")
        await submitter.submit("proj.add", [], {}, "acme", terms)
        assert self.due(memory, clock) == stored
        assert all((one.task_id, one.task, one.account) == ("t1", "proj.add", "acme") for one in memory.overdue())
        (message,) = sent(app)
        assert bool(message.headers["expires"]) == (terms.expires is not None)

    async def test_they_are_there_before_the_task_is_sent(
        self, app: Celery, store: ThreadedStore, memory: MemoryStore, clock: Clock
    ) -> None:
        seen: list[int] = []

        def look(**_: object) -> None:
            clock.advance(60)
            seen.append(len(memory.overdue()))

        before_task_publish.connect(look, sender="proj.add")
        await Submitter(app, store, deadline=60).submit("proj.add", [], {}, None)
        assert seen == [1]

    async def test_a_task_that_was_surely_not_sent_has_none(
        self, store: ThreadedStore, memory: MemoryStore, clock: Clock, tmp_path: Path
    ) -> None:
        (tmp_path / "broker").write_text("a file where the folder should be")
        submitter = Submitter(make_sender(f"file://{tmp_path}/broker"), store, deadline=60)
        with pytest.raises(Refused, match="was not submitted"):
            await submitter.submit("proj.add", [], {}, "acme", Terms(expires=5))
        assert self.due(memory, clock) == {}

    async def test_a_task_that_may_have_been_sent_keeps_them(
        self, store: ThreadedStore, memory: MemoryStore, clock: Clock, silent_broker: str
    ) -> None:
        submitter = Submitter(make_sender(silent_broker, timeout=0.4), store, timeout=0.2, deadline=60)
        with pytest.raises(Refused, match="may have reached it"):
            await submitter.submit("proj.add", [], {}, "acme")
        assert self.due(memory, clock) == {"deadline": 60.0}

    async def test_nothing_is_sent_when_they_cannot_be_stored(self, app: Celery) -> None:
        class Away(MemoryStore):
            def add_deadlines(self, deadlines: object) -> None:
                raise StoreUnavailable("the disk is full")

        with pytest.raises(StoreUnavailable):
            await Submitter(app, ThreadedStore(Away()), deadline=60).submit("proj.add", [], {}, None)
        assert sent(app) == []

    async def test_where_nobody_could_see_to_them_they_are_refused(
        self, app: Celery, store: ThreadedStore, memory: MemoryStore, clock: Clock
    ) -> None:
        submitter = Submitter(app, store, deadline=None)
        with pytest.raises(Refused) as caught:
            await submitter.submit("proj.add", [], {}, None, Terms(deadline=5))
        assert (caught.value.code, caught.value.status) == ("no_deadlines", 422)
        assert sent(app) == []
        await submitter.submit("proj.add", [], {}, None, Terms(expires=5))
        assert self.due(memory, clock) == {}
        assert len(sent(app)) == 1
