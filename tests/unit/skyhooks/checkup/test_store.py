"""Stores that work, and each way in which one can be wrong."""

from pathlib import Path

import pytest

from skyhooks.checkup import Subject
from skyhooks.checkup.store import standalone, store
from tests.contract.outage import read_only
from tests.mongod import replica_set, running
from tests.processes import eventually, free_ports
from tests.unit.skyhooks.checkup.planting import app, environment, names


def on(url: str, folder: Path) -> Subject:
    return Subject(environment(folder, SKYHOOKS_STORE=url), app())


def test_a_file_that_can_be_written(tmp_path: Path) -> None:
    (finding,) = store(on(f"sqlite://{tmp_path}/a.db", tmp_path))
    assert finding.level == "ok"


@pytest.mark.parametrize("url", ["postgres://localhost", "sqlite:///dev/null/a.db", "sqlite://relative"])
def test_a_url_that_will_never_work(url: str, tmp_path: Path) -> None:
    assert names(store, on(url, tmp_path)) == ["store_unusable"]


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("a letter to my aunt" * 100)
    assert names(store, on(f"sqlite://{tmp_path}/a.db", tmp_path)) == ["store_unusable"]


def test_a_file_that_is_read_only(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/a.db"
    assert names(store, on(url, tmp_path)) == []
    with read_only(tmp_path / "a.db"):
        assert names(store, on(url, tmp_path)) == ["store_unavailable"]


def test_a_store_of_one_process(tmp_path: Path) -> None:
    assert names(store, on("memory://", tmp_path)) == ["memory_store"]
    testing = Subject(environment(tmp_path, SKYHOOKS_STORE="memory://", SKYHOOKS_IN_PROCESS="yes"))
    assert names(store, testing) == []


def test_a_mongod_that_does_not_answer_and_its_password(tmp_path: Path) -> None:
    url = f"mongodb://me:hidden@127.0.0.1:{free_ports()}/?serverSelectionTimeoutMS=100"
    (finding,) = store(on(url, tmp_path))
    assert finding.name == "store_unavailable"
    assert "hidden" not in finding.what + finding.fix


def test_a_mongod_that_stands_alone_is_told_from_one_that_does_not(tmp_path: Path) -> None:
    with running(tmp_path, []) as (port, process):
        process.wait_for("Waiting for connections")
        for options in ("", "?replicaSet=rs0&serverSelectionTimeoutMS=500"):
            assert names(store, on(f"mongodb://127.0.0.1:{port}/shop{options}", tmp_path)) == ["standalone_mongod"]


def test_a_replica_set_is_good_and_one_that_was_not_initiated_is_not_alone(tmp_path: Path) -> None:
    with replica_set(tmp_path) as members:
        assert names(store, on(members.url("shop"), tmp_path)) == []
        assert standalone(members.url("shop")) == ""
    with running(tmp_path, ["--replSet=fresh"]) as (port, process):
        process.wait_for("Waiting for connections")
        url = f"mongodb://127.0.0.1:{port}/shop?replicaSet=fresh&serverSelectionTimeoutMS=500"
        assert eventually(lambda: names(store, on(url, tmp_path))) == ["store_unavailable"]
