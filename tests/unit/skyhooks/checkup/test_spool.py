"""The spool: empty, waiting, old, damaged, full, and where nothing can be written."""

import os
import time
from pathlib import Path

import pytest

from skyhooks.checkup import Subject
from skyhooks.checkup.spool import OLD, Waiting, spool, waiting_in
from skyhooks.parcel import Contents
from skyhooks.spool import Spool
from tests.unit.skyhooks.checkup.planting import environment, names

WEBHOOK = b'{"keys":{"task_id":"t"},"data":1}'


def keep(folder: Path, age: float = 0.0) -> Path:
    """Spool a result as a worker does, so many seconds ago."""
    path = Spool(folder, 1 << 20).put(Contents(WEBHOOK))
    at = time.time() - age
    os.utime(path, (at, at))
    return path


def test_an_empty_spool_is_good_and_nothing_stays_of_the_trial(tmp_path: Path) -> None:
    assert names(spool, Subject(environment(tmp_path))) == []
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_result_that_has_just_come_is_no_news(tmp_path: Path) -> None:
    keep(tmp_path / "spool")
    assert names(spool, Subject(environment(tmp_path))) == []


def test_results_that_nobody_takes_out(tmp_path: Path) -> None:
    keep(tmp_path / "spool", OLD + 60)
    keep(tmp_path / "spool")
    (finding,) = spool(Subject(environment(tmp_path)))
    assert finding.name == "spool_waiting"
    assert "2 results wait" in finding.what
    assert f"the oldest for {OLD + 60:.0f} s" in finding.what


def test_a_file_that_was_set_aside(tmp_path: Path) -> None:
    keep(tmp_path / "spool").write_bytes(b"half")
    assert Spool(tmp_path / "spool", 1 << 20).waiting(10) == []
    assert names(spool, Subject(environment(tmp_path))) == ["spool_damaged"]


def test_a_spool_that_is_full(tmp_path: Path) -> None:
    size = keep(tmp_path / "spool").stat().st_size
    assert names(spool, Subject(environment(tmp_path, SKYHOOKS_SPOOL_SIZE=str(size)))) == ["spool_full"]
    assert names(spool, Subject(environment(tmp_path, SKYHOOKS_SPOOL_SIZE=str(size * 2)))) == []


@pytest.mark.parametrize("place", ["/proc/spool", "file/spool"])
def test_a_place_where_nothing_can_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    subject = Subject(environment(tmp_path, SKYHOOKS_SPOOL=str(tmp_path / place)))
    assert names(spool, subject) == ["spool_unwritable"]


def test_a_spool_that_was_never_used_is_empty(tmp_path: Path) -> None:
    assert waiting_in(tmp_path / "nowhere", 0.0) == Waiting()
