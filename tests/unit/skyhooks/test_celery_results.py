"""Celery's own results in the store: AsyncResult, groups, expiry, and the URL of the backend."""

import pickle
import threading
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from billiard.process import current_process
from celery import Celery
from celery.app.task import Context
from celery.result import AsyncResult, GroupResult

from skyhooks.celery import SkyhooksBackend
from skyhooks.channel import task_channel
from skyhooks.errors import StoreUnavailable
from skyhooks.parcel import StoredResult
from skyhooks.publication import Draft, TaskMark
from skyhooks.store.memory import MemoryStore


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Celery]:
    made = Celery("x", backend="skyhooks", broker="memory://")
    made.conf.update(skyhooks_store=MemoryStore(), skyhooks_spool=str(tmp_path))
    yield made
    made.close()


def keep(app: Celery, task_id: str, value: Any, state: str = "SUCCESS", **fields: Any) -> StoredResult:
    """Store a state as the courier does."""
    backend: SkyhooksBackend = app.backend
    request = Context({"id": task_id, **fields})
    kept = backend.stored_result(task_id, backend.encode_result(value, state), state, None, request)
    backend.store().put_result(kept.key, kept.value, kept.ttl)
    return kept


def tell(app: Celery, task_id: str) -> None:
    """Publish the end of a task as the courier does."""
    mark = TaskMark("run", 0, "SUCCESS")
    draft = Draft(id=f"{task_id}:end", channels=(task_channel(task_id),), data=b"1", task=mark)
    app.backend.store().append([draft])


def test_an_unknown_task_is_pending(app: Celery) -> None:
    assert app.AsyncResult("t").state == "PENDING"


@pytest.mark.parametrize("serializer", ["json", "pickle"])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_result_is_read_as_it_was_stored(app: Celery, serializer: str, compression: str | None) -> None:
    app.conf.update(result_serializer=serializer, accept_content=[serializer], result_compression=compression)
    keep(app, "t", {"lines": "a\nb\n"})

    assert app.AsyncResult("t").get(timeout=1) == {"lines": "a\nb\n"}


def test_a_failure_is_raised_again(app: Celery) -> None:
    keep(app, "t", ValueError("no"), "FAILURE")

    with pytest.raises(ValueError, match="no"):
        app.AsyncResult("t").get(timeout=1)


def test_progress_is_seen_by_those_who_poll(app: Celery) -> None:
    keep(app, "t", {"step": 3}, "PROGRESS")

    assert (app.AsyncResult("t").state, app.AsyncResult("t").info) == ("PROGRESS", {"step": 3})


@pytest.mark.parametrize("order", list(permutations(["SUCCESS", "FAILURE", "STARTED"])))
def test_whatever_comes_last_a_result_is_never_hidden(app: Celery, order: tuple[str, ...]) -> None:
    for state in order:
        keep(app, "t", ValueError("lost") if state == "FAILURE" else {"state": state}, state)

    assert app.AsyncResult("t").get(timeout=1) == {"state": "SUCCESS"}


@pytest.mark.parametrize("late", ["STARTED", "PROGRESS", "RETRY"])
def test_what_an_older_run_says_late_does_not_hide_the_end(app: Celery, late: str) -> None:
    keep(app, "t", ValueError("no"), "FAILURE")
    keep(app, "t", {"late": True}, late)

    assert app.AsyncResult("t").state == "FAILURE"


def test_a_result_can_be_forgotten(app: Celery) -> None:
    keep(app, "t", 1)
    result = app.AsyncResult("t")
    assert result.get(timeout=1) == 1

    result.forget()

    assert app.AsyncResult("t").state == "PENDING"


@pytest.mark.parametrize(("expires", "ttl"), [(60, 60.0), (None, None), (0, None)])
def test_results_expire_as_celery_is_told(app: Celery, expires: int | None, ttl: float | None) -> None:
    app.conf.result_expires = expires

    assert keep(app, "t", 1).ttl == ttl


def test_cleaning_up_sweeps_all_that_has_expired(tmp_path: Path) -> None:
    now = [0.0]
    store = MemoryStore(lambda: now[0])
    app = Celery("x", backend="skyhooks", broker="memory://")
    app.conf.update(skyhooks_store=store, skyhooks_spool=str(tmp_path), result_expires=5)
    for number in range(3):
        keep(app, f"t{number}", number)
    now[0] = 10.0

    app.backend.cleanup()

    assert store.sweep_results() == 0


def test_a_group_is_saved_restored_and_deleted(app: Celery) -> None:
    for number in range(3):
        keep(app, f"t{number}", number)
    GroupResult("g", [AsyncResult(f"t{number}", app=app) for number in range(3)], app=app).save()

    assert GroupResult.restore("g", app=app).join(timeout=1) == [0, 1, 2]
    app.backend.delete_group("g")
    assert GroupResult.restore("g", app=app) is None


def test_the_members_of_a_chord_remember_its_account(app: Celery) -> None:
    keep(app, "plain", 1, skyhooks_account="acme")
    keep(app, "member", 1, skyhooks_account="acme", chord={"task": "body"})
    backend: SkyhooksBackend = app.backend

    def unlocking(*ids: str) -> Context:
        return Context({"kwargs": {"result": [[[one, None], None] for one in ids]}})

    assert backend.chord_account(unlocking("missing", "member")) == "acme"
    assert backend.chord_account(unlocking("plain")) == ""
    assert backend.chord_account(Context()) == ""


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("skyhooks", "skyhooks"),
        ("skyhooks://", "skyhooks://"),
        ("skyhooks+sqlite:////tmp/x.db", "skyhooks+sqlite:////tmp/x.db"),
        ("skyhooks+memory://", "skyhooks+memory://"),
    ],
)
def test_the_url_is_shown_as_it_was_given(given: str, shown: str, tmp_path: Path) -> None:
    app = Celery("x", backend=given, broker="memory://")
    app.conf.update(skyhooks_spool=str(tmp_path))

    assert isinstance(app.backend, SkyhooksBackend)
    assert app.backend.as_uri() == shown


def test_passwords_are_masked_and_the_query_stays(app: Celery) -> None:
    url = "mongodb://me:hunter2@h1:1,h2:2/db?replicaSet=rs&tlsCertificateKeyFilePassword=hunter2&w=2"
    backend = SkyhooksBackend(app, url=url)

    assert backend.as_uri() == (
        "skyhooks+mongodb://me:**@h1:1,h2:2/db?replicaSet=rs&tlsCertificateKeyFilePassword=**&w=2"
    )
    assert backend.as_uri(include_password=True) == f"skyhooks+{url}"


def test_it_can_be_pickled_with_its_url(app: Celery) -> None:
    app.set_current()
    copy = pickle.loads(pickle.dumps(SkyhooksBackend(app, url="sqlite:////tmp/x.db")))

    assert copy.url == "sqlite:////tmp/x.db"


def test_a_bare_name_means_the_setting_then_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYHOOKS_STORE", f"sqlite://{tmp_path / 'environment.db'}")
    monkeypatch.setenv("SKYHOOKS_SPOOL", str(tmp_path))
    from_environment = Celery("x", backend="skyhooks", broker="memory://")
    from_setting = Celery("x", backend="skyhooks", broker="memory://")
    from_setting.conf.skyhooks_store = f"sqlite://{tmp_path / 'setting.db'}"

    assert from_environment.backend.store_url.endswith("environment.db")
    assert from_setting.backend.store_url.endswith("setting.db")


class Silent(MemoryStore):
    """A store that answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = threading.Event()

    def get_result(self, key: str) -> bytes | None:
        self.answer.wait(30)
        return super().get_result(key)


def test_a_workers_main_process_does_not_wait_for_the_store(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks what became of a task whose process was lost; meanwhile every other task would stand still."""
    silent = Silent()
    app.conf.skyhooks_store = silent
    keep(app, "t", "done")
    tell(app, "t")
    monkeypatch.setattr(app.loader, "worker_initialized", True)
    app.conf.skyhooks_in_process = True

    with pytest.raises(StoreUnavailable, match=r"did not tell within 0\.25 s what became of t"):
        app.backend._get_task_meta_for("t")

    silent.answer.set()
    assert app.backend._get_task_meta_for("t")["status"] == "SUCCESS"


@pytest.mark.parametrize("who", ["MainProcess", "ForkPoolWorker-1"])
def test_a_worker_takes_a_success_for_one_only_once_it_is_published(
    app: Celery, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """The process that ran it may have been killed between the two, and then the task has to run again."""
    app.conf.skyhooks_in_process = True
    keep(app, "t", "done")
    assert app.backend._get_task_meta_for("t")["status"] == "SUCCESS"  # whoever is not a worker
    monkeypatch.setattr(app.loader, "worker_initialized", True)
    monkeypatch.setattr(current_process(), "_name", who)

    assert app.backend._get_task_meta_for("t")["status"] == "PENDING"
    tell(app, "t")
    assert app.backend._get_task_meta_for("t")["status"] == "SUCCESS"


@pytest.mark.parametrize("who", ["caller", "task", "pool"])
def test_everybody_else_waits_for_the_store(app: Celery, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    silent = Silent()
    app.conf.skyhooks_store = silent
    keep(app, "t", "done")
    tell(app, "t")
    asked = threading.Event()
    monkeypatch.setattr(app.backend, "_read_briefly", lambda task_id: asked.set())
    monkeypatch.setattr(app.loader, "worker_initialized", who != "caller")
    if who == "pool":
        monkeypatch.setattr(current_process(), "_name", "ForkPoolWorker-1")
    threading.Timer(0.05, silent.answer.set).start()

    @app.task(shared=False, ignore_result=True)
    def ask() -> str:
        return str(app.backend._get_task_meta_for("t")["status"])

    found = ask.apply().result if who == "task" else ask.run()
    assert (found, asked.is_set()) == ("SUCCESS", False)
