"""What a checkup looks at: where its settings come from, and what it asks only once."""

from pathlib import Path

import pytest

from skyhooks.checkup import Subject
from skyhooks.gateways import LiveNode
from skyhooks.registry import Registry
from skyhooks.store import open_store
from tests.unit.skyhooks.checkup.planting import OTHER, SECRET, app, environment


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ({}, "sqlite:///environment.db"),
        ({"skyhooks_store": "sqlite:///conf.db"}, "sqlite:///conf.db"),
        ({"result_backend": "skyhooks+sqlite:///url.db", "skyhooks_store": "sqlite:///conf.db"}, "sqlite:///url.db"),
        ({"result_backend": "skyhooks://"}, "sqlite:///environment.db"),
        ({"result_backend": "redis://host"}, "sqlite:///environment.db"),
    ],
)
def test_the_store_is_the_one_that_a_worker_would_use(tmp_path: Path, conf: dict[str, str], expected: str) -> None:
    environ = environment(tmp_path, SKYHOOKS_STORE="sqlite:///environment.db")
    subject = Subject(environ, app(**conf))
    assert subject.store_url == expected
    if not subject.backend_error:
        made = app(**conf)
        made.conf.setdefault("skyhooks_store", "sqlite:///environment.db")
        assert made.backend.store_url == expected


def test_without_an_app_the_environment_counts(tmp_path: Path) -> None:
    subject = Subject(environment(tmp_path))
    assert subject.store_url == f"sqlite://{tmp_path}/store.db"
    assert subject.spool_folder == tmp_path / "spool"
    assert len(subject.secrets) == 1


def test_the_apps_secret_comes_before_the_environments(tmp_path: Path) -> None:
    subject = Subject(environment(tmp_path, SECRET), app(skyhooks_secret=OTHER))
    assert subject.settings.secret == OTHER


def test_a_url_is_shown_without_user_password_and_options(tmp_path: Path) -> None:
    environ = environment(tmp_path, SKYHOOKS_STORE="mongodb://me:hidden@host:1,other:2/shop?password=hidden")
    assert Subject(environ).shown_store == "mongodb://host:1,other:2/shop"


def test_the_live_nodes_are_those_of_the_store_gateways_and_apps(tmp_path: Path) -> None:
    subject = Subject(environment(tmp_path))
    store = open_store(subject.store_url)
    Registry(store).announce("g", "http://127.0.0.1:1/", 60)
    store.lease("nodes/a", "a", 60, '{"url": "http://127.0.0.1:2/sky", "open": true, "role": "app"}')
    store.lease("nodes/odd", "odd", 60, "[]")
    store.close()
    assert subject.nodes == (
        LiveNode("a", "http://127.0.0.1:2/sky", True, "app"),
        LiveNode("g", "http://127.0.0.1:1", False, "gateway"),
    )


def test_a_store_that_does_not_work_has_no_nodes(tmp_path: Path) -> None:
    subject = Subject(environment(tmp_path, SKYHOOKS_STORE="postgres://host"))
    assert subject.store_error is not None
    assert (subject.nodes, subject.visits) == ((), ())


def test_the_trial_of_the_store_leaves_nothing_in_it(tmp_path: Path) -> None:
    subject = Subject(environment(tmp_path))
    assert subject.store_error is None
    assert b"checkup-" not in (tmp_path / "store.db").read_bytes()
