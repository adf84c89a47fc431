"""The backend in this process: what it publishes, when it blocks, and that an outage never reaches the task."""

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from celery import Celery
from celery.app.task import Context
from celery.exceptions import NotRegistered, SoftTimeLimitExceeded

import skyhooks
from skyhooks.celery import SkyhooksBackend
from skyhooks.errors import SettingsError, StoreUnavailable
from skyhooks.outbox import Outbox
from skyhooks.parcel import Parcel
from skyhooks.store import open_store
from skyhooks.store.memory import MemoryStore
from tests.processes import eventually


class Away(MemoryStore):
    """A store in which nothing can be written or read while it is away."""

    away = False

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in ("append", "put_result", "get_result", "head", "leases", "hooks"):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            if self.away:
                raise StoreUnavailable("away")
            return found(*args, **kwargs)

        return call


@pytest.fixture
def store() -> Away:
    return Away()


@pytest.fixture
def app(store: Away, tmp_path: Path) -> Iterator[Celery]:
    made = Celery("x", backend="skyhooks", broker="memory://")
    made.conf.update(skyhooks_store=store, skyhooks_spool=str(tmp_path), skyhooks_deadline=0.2)
    yield made
    made.backend._on_shutdown()
    made.close()


@pytest.fixture
def backend(app: Celery) -> SkyhooksBackend:
    found: SkyhooksBackend = app.backend
    return found


def request(task_id: str = "t", **fields: Any) -> Context:
    return Context({"id": task_id, "task": "shop.charge", "skyhooks_account": "acme", **fields})


def events(store: MemoryStore, channel: str = "accounts/acme") -> list[dict[str, Any]]:
    return [msgspec.json.decode(one.data) for one in store.read(channel, 0).publications]


def settled(backend: SkyhooksBackend) -> None:
    """Wait until everything that was handed over has been sent."""
    parcel = backend._courier().outbox
    eventually(lambda: not parcel._ready and not parcel._flying)


def test_outside_of_a_task_a_state_is_handed_over_and_does_not_block(
    backend: SkyhooksBackend, store: Away, tmp_path: Path
) -> None:
    store.away = True
    backend.settings.values["deadline"] = 600.0
    backend.mark_as_failure("t", ValueError("lost"), request=request())
    eventually(lambda: list(tmp_path.glob("*.parcel")), what="it is kept at once")

    store.away = False
    backend._courier().drain()
    assert eventually(lambda: events(store))[0]["error"]["message"] == "lost"


def test_inside_a_task_its_end_blocks_and_past_the_deadline_it_is_spooled(
    app: Celery, store: Away, tmp_path: Path
) -> None:
    spooled: list[int] = []

    @app.task(bind=True, name="shop.charge", shared=False)
    def charge(self: Any) -> None:
        store.away = True
        self.backend.mark_as_done("t", 1, request=request())
        spooled.append(len(list(tmp_path.glob("*.parcel"))))
        store.away = False

    charge.apply()

    assert spooled == [1]


def test_an_outage_raises_nowhere(backend: SkyhooksBackend, store: Away) -> None:
    store.away = True
    chain = [{"task": "x", "args": [], "kwargs": {}, "options": {"task_id": "next", "chord": {"task": "body"}}}]

    backend.store_result("t", {"n": 1}, "PROGRESS", request=request())
    backend.mark_as_started("t")
    backend.mark_as_retry("t", ValueError(), request=request())
    backend.mark_as_failure("t", ValueError(), request=request(chain=chain))
    backend.mark_as_revoked("t", "expired", request=request())
    backend.mark_as_done("t", 1, request=request())


def test_a_soft_limit_while_the_end_waits_is_not_the_tasks_any_more(
    app: Celery, store: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver, struck = Outbox.deliver, []

    def interrupted(self: Outbox, parcel: Parcel, timeout: float, most: float | None = None) -> None:
        if not struck:
            struck.append(True)
            self.post(parcel)
            raise SoftTimeLimitExceeded
        deliver(self, parcel, timeout, most)

    monkeypatch.setattr(Outbox, "deliver", interrupted)

    @app.task(bind=True, name="shop.charge", shared=False)
    def charge(self: Any) -> str:
        self.backend.mark_as_done("t", 1, request=request())
        return "not interrupted"

    assert charge.apply().result == "not interrupted"
    assert struck
    assert [event["state"] for event in events(store)] == ["SUCCESS"]


@pytest.mark.parametrize("stored", [False, True])
def test_an_eager_task_publishes_only_if_its_result_is_stored(
    app: Celery, backend: SkyhooksBackend, store: Away, stored: bool
) -> None:
    app.conf.update(task_always_eager=True, task_store_eager_result=stored)

    @app.task(name="shop.eager", shared=False)
    def eager() -> int:
        return 1

    eager.apply_async(task_id="t", headers={"skyhooks_account": "acme"})

    settled(backend)
    assert bool(store.read("tasks/t", 0).publications) is stored


@pytest.mark.parametrize("given", ["context", "header", "parent"])
def test_an_eager_task_has_the_account_of_its_call_or_of_the_task_that_runs_it(
    app: Celery, backend: SkyhooksBackend, store: Away, given: str
) -> None:
    @app.task(name="shop.inner", shared=False, store_eager_result=True)
    def inner() -> int:
        return 1

    @app.task(name="shop.outer", shared=False)
    def outer() -> None:
        inner.apply(task_id="inner")

    if given == "header":
        inner.apply(task_id="inner", headers={"skyhooks_account": "acme"})
    elif given == "context":
        with skyhooks.account("acme"):
            outer.apply()
    else:
        outer.apply(headers={"skyhooks_account": "acme"})

    settled(backend)
    assert {event["account"] for event in events(store, "tasks/inner")} == {"acme"}


def test_celerys_own_tasks_are_skipped_but_the_one_that_stands_for_a_group(
    backend: SkyhooksBackend, store: Away
) -> None:
    for name in ("celery.chord_unlock", "celery.backend_cleanup", "celery.accumulate"):
        backend.mark_as_done(name, 1, request=request(name, task=name))

    settled(backend)
    assert [event["task"] for event in events(store)] == ["celery.accumulate"]


def test_a_task_that_sets_anothers_state_does_not_give_it_its_account(backend: SkyhooksBackend, store: Away) -> None:
    backend.store_result("other", {"n": 1}, "PROGRESS", request=request("mine"))

    settled(backend)
    assert events(store) == []
    assert [event.get("account") for event in events(store, "tasks/other")] == [None]


def test_a_state_without_a_name_is_progress(backend: SkyhooksBackend, store: Away) -> None:
    backend.store_result("t", {"n": 1}, None, request=request())  # type: ignore[arg-type]

    settled(backend)
    assert [event["state"] for event in events(store)] == ["PROGRESS"]


def test_a_task_that_reports_its_own_failure_ends(backend: SkyhooksBackend, store: Away) -> None:
    backend.store_result("t", {"exc_type": "Broken", "exc_message": "x"}, "FAILURE", request=request())

    settled(backend)
    assert [(event["end"], event["error"]["type"]) for event in events(store)] == [(True, "Broken")]


def test_a_revocation_of_a_task_that_this_worker_does_not_have_is_not_published(
    backend: SkyhooksBackend, store: Away
) -> None:
    backend.mark_as_revoked("t", "revoked")

    settled(backend)
    assert events(store, "tasks/t") == []
    assert backend.get_state("t") == "REVOKED"


def test_an_unknown_task_is_published_once_its_headers_are_known(
    app: Celery, backend: SkyhooksBackend, store: Away
) -> None:
    message = SimpleNamespace(headers={"id": "t", "task": "no.such", "skyhooks_account": "acme"})
    bunch = SimpleNamespace(name="no.such", chord=None, root_id=None, errbacks=None)

    backend.mark_as_failure("t", NotRegistered("no.such"), request=bunch)
    settled(backend)
    assert events(store, "tasks/t") == []
    backend._on_unknown(SimpleNamespace(app=app), message=message, name="no.such", id="t")

    settled(backend)
    assert [(event["task"], event["error"]["code"]) for event in events(store)] == [("no.such", "not_registered")]


def test_making_it_and_submitting_do_no_io(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path / 'sub' / 'store.db'}"
    app = Celery("x", backend=f"skyhooks+{url}", broker="memory://")
    app.conf.skyhooks_spool = str(tmp_path / "spool")
    before = set(threading.enumerate())

    result = app.send_task("t", headers={"skyhooks_account": 7})

    assert result.backend.store_url == url
    assert set(threading.enumerate()) <= before
    assert list(tmp_path.iterdir()) == []
    app.close()


def test_all_threads_share_one(app: Celery) -> None:
    seen: list[Any] = []
    threads = [threading.Thread(target=lambda: seen.append(app.backend)) for _ in range(3)]
    for thread in (*threads,):
        thread.start()
        thread.join()

    assert {id(one) for one in seen} == {id(app.backend)}


def test_a_worker_with_a_store_in_memory_is_refused(tmp_path: Path) -> None:
    app = Celery("x", backend="skyhooks+memory://", broker="memory://")
    app.conf.skyhooks_spool = str(tmp_path)
    app.loader.init_worker()
    with pytest.raises(SettingsError, match="skyhooks_in_process"):
        _ = app.backend

    app.conf.skyhooks_in_process = True
    assert app.backend.store_url == "memory://"


def test_a_bad_setting_is_refused_at_once() -> None:
    app = Celery("x", backend="skyhooks+memory://", broker="memory://")
    app.conf.skyhooks_secret = "hunter2"

    with pytest.raises(SettingsError, match="skyhooks_secret"):
        _ = app.backend


def test_a_forked_process_has_a_courier_of_its_own(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path / 'store.db'}"
    app = Celery("x", backend=f"skyhooks+{url}", broker="memory://")
    app.conf.skyhooks_spool = str(tmp_path / "spool")
    backend: SkyhooksBackend = app.backend
    backend.mark_as_done("parent", 1, request=request("parent"))
    settled(backend)

    def child() -> None:
        backend.mark_as_done("child", 2, request=request("child"))
        backend._on_shutdown()

    _in_fork(child)
    backend.mark_as_done("parent-again", 3, request=request("parent-again"))
    backend._on_shutdown()

    found = [one.id for one in open_store(url).read("accounts/acme", 0).publications]
    assert found[:2] == ["parent:end", "child:end"]
    assert len(found) == 3


def _in_fork(call: Callable[[], None]) -> None:
    process = multiprocessing.get_context("fork").Process(target=call)
    process.start()
    process.join(30)
    assert process.exitcode == 0


@pytest.mark.parametrize(
    ("fields", "tracked", "told"),
    [
        ({"expires": "2026-01-01T00:00:00"}, False, ["STARTED"]),
        ({"expires": "2026-01-01T00:00:00"}, True, []),
        ({"expires": "2026-01-01T00:00:00", "ignore_result": True}, True, ["STARTED"]),
        ({"expires": "2026-01-01T00:00:00", "is_eager": True}, False, []),
        ({}, False, []),
    ],
)
def test_a_task_that_can_expire_says_that_it_began_where_celery_does_not(
    app: Celery, backend: SkyhooksBackend, store: Away, fields: dict[str, Any], tracked: bool, told: list[str]
) -> None:
    task = SimpleNamespace(app=app, track_started=tracked, request=request(**fields))
    backend._on_prerun(task=task)
    backend._on_prerun(task=task)
    settled(backend)
    assert [event["state"] for event in events(store)] == told
    assert backend.get_state("t") == "PENDING"
