"""A Celery app: sound, and each way in which its settings can lose results."""

from pathlib import Path
from typing import Any

import pytest

from skyhooks.checkup import Subject
from skyhooks.checkup.application import application, load, settings
from tests.unit.skyhooks.checkup.planting import app, environment, names


def nothing() -> None:
    """A task."""


def found(folder: Path, **conf: Any) -> list[str]:
    return names(application, Subject(environment(folder), app(**conf)))


def test_a_sound_app_and_no_app(tmp_path: Path) -> None:
    assert found(tmp_path) == []
    assert list(application(Subject(environment(tmp_path)))) == []


@pytest.mark.parametrize("backend", ["skyhooks", "skyhooks+sqlite:///tmp/a.db", "skyhooks+mongodb://host/shop"])
def test_every_spelling_of_the_backend_is_known(tmp_path: Path, backend: str) -> None:
    assert found(tmp_path, result_backend=backend) == []


@pytest.mark.parametrize("backend", ["redis://localhost", "rpc://", None, "nowhere:Backend", "file:///tmp"])
def test_another_backend(tmp_path: Path, backend: str | None) -> None:
    assert found(tmp_path, result_backend=backend) == ["other_backend"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("task_track_started", "started_untold"),
        ("task_acks_late", "early_acks"),
        ("task_reject_on_worker_lost", "lost_worker_acked"),
    ],
)
def test_a_setting_that_is_off(tmp_path: Path, name: str, expected: str) -> None:
    assert found(tmp_path, **{name: False}) == [expected]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("track_started", "started_untold"), ("acks_late", "early_acks"), ("reject_on_worker_lost", "lost_worker_acked")],
)
def test_a_task_for_which_a_setting_is_off_is_named(tmp_path: Path, name: str, expected: str) -> None:
    shop = app()
    shop.task(name="shop.pay", shared=False, **{name: False})(nothing)
    shop.task(name="shop.pack", shared=False)(nothing)
    findings = {finding.name: finding for finding in application(Subject(environment(tmp_path), shop))}
    assert set(findings) == {"", expected}
    assert "shop.pay" in findings[expected].what
    assert "shop.pack" not in findings[expected].what


def test_tasks_that_run_where_they_are_submitted(tmp_path: Path) -> None:
    assert found(tmp_path, task_always_eager=True) == ["eager_tasks"]


@pytest.mark.parametrize(
    "conf",
    [{"task_serializer": "pickle"}, {"result_serializer": "yaml"}, {"accept_content": ["json", "pickle"]}],
)
def test_pickles(tmp_path: Path, conf: dict[str, Any]) -> None:
    assert found(tmp_path, **conf) == ["pickle"]


@pytest.mark.parametrize("given", [{"skyhooks_deadline": "soon"}, {"skyhooks_spool_size": -1}])
def test_a_setting_that_cannot_be_used(tmp_path: Path, given: dict[str, Any]) -> None:
    subject = Subject(environment(tmp_path), app(**given))
    assert names(settings, subject) == ["bad_setting"]
    # The rest can still be looked at.
    assert names(application, subject) == []


def test_settings_that_can_be_used(tmp_path: Path) -> None:
    assert list(settings(Subject(environment(tmp_path), app(skyhooks_deadline=5)))) == []


def test_tasks_that_cannot_be_imported(tmp_path: Path) -> None:
    assert found(tmp_path, imports=("nowhere.tasks",)) == ["app_not_loaded"]


@pytest.mark.parametrize("source", ["raise RuntimeError('no database')", "import nowhere", "x = ("])
def test_an_app_that_cannot_be_loaded_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"broken_{abs(hash(source))}"
    Path(f"{name}.py").write_text(source)
    assert load(name)[0] is None
    assert f"app: {name} cannot be loaded" in load(name)[1]
