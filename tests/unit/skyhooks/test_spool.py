"""The spool keeps what it took, whole and in order, for whichever process comes next."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from skyhooks.parcel import Contents, StoredResult
from skyhooks.spool import Spool, SpoolFull
from tests.conftest import Spawn
from tests.processes import forked

ROOM = 1 << 20


def contents(number: int) -> Contents:
    return Contents(
        b'{"keys":{"task_id":"t%d"},"data":1}' % number, StoredResult(f"task:{number}", bytes(range(256)), 60.0)
    )


def test_what_goes_in_comes_out_whole_and_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ROOM)
    for number in range(5):
        spool.put(contents(number))

    assert [found for _, found in spool.waiting(10)] == [contents(number) for number in range(5)]
    assert [found for _, found in spool.waiting(2)] == [contents(0), contents(1)]


def test_what_arrived_is_forgotten(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ROOM)
    path = spool.put(contents(1))
    spool.put(contents(2))

    spool.remove(path)
    spool.remove(path)

    assert [found for _, found in spool.waiting(10)] == [contents(2)]


def test_nothing_is_made_before_something_is_spooled(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ROOM)

    assert spool.waiting(10) == []
    with spool.draining() as mine:
        assert not mine
    assert not spool.root.exists()


def test_only_this_user_can_read_it(tmp_path: Path) -> None:
    path = Spool(tmp_path / "spool", ROOM).put(contents(1))

    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 700)
    spool.put(contents(1))

    with pytest.raises(SpoolFull, match="skyhooks_spool_size"):
        spool.put(contents(2))
    assert [found for _, found in spool.waiting(10)] == [contents(1)]


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "foreign"])
def test_a_damaged_file_is_set_aside_and_the_others_come_out(tmp_path: Path, damage: str) -> None:
    spool = Spool(tmp_path, ROOM)
    path = spool.put(contents(1))
    spool.put(contents(2))
    text = path.read_bytes()
    damaged = {"cut": text[:-9], "changed": text.replace(b"task:1", b"task:7"), "empty": b"", "foreign": b"\xff\n{}"}
    path.write_bytes(damaged[damage])

    assert [found for _, found in spool.waiting(10)] == [contents(2)]
    assert (tmp_path / "damaged" / path.name).read_bytes() == damaged[damage]


def test_a_half_written_file_of_a_writer_that_died_is_never_seen(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ROOM)
    spool.put(contents(1))
    (tmp_path / ".00000000000000000001-dead.parcel").write_bytes(b"half")

    assert [found for _, found in spool.waiting(10)] == [contents(1)]


def test_one_process_at_a_time_drains(tmp_path: Path, spawn: Spawn) -> None:
    Spool(tmp_path, ROOM).put(contents(1))
    code = (
        "import sys, pathlib; from skyhooks.spool import Spool\n"
        "with Spool(pathlib.Path(sys.argv[1]), 1).draining() as mine: print('mine', mine, flush=True)\n"
    )
    argv = [sys.executable, "-c", code, str(tmp_path)]

    with Spool(tmp_path, ROOM).draining() as mine:
        assert mine
        spawn(argv).wait_for("mine False")
    spawn(argv).wait_for("mine True")


def test_a_process_that_was_forked_meanwhile_does_not_keep_the_right_to_drain(tmp_path: Path) -> None:
    """The pool of a worker replaces a process at any time, also while its main process drains."""
    spool = Spool(tmp_path, ROOM)
    spool.put(contents(1))
    with ExitStack() as stack:
        with spool.draining() as mine:
            assert mine
            stack.enter_context(forked())
        with spool.draining() as again:
            assert again


def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: Spool(tmp_path, ROOM).put(contents(number)), range(64)))

    found = sorted(one.webhook for _, one in Spool(tmp_path, ROOM).waiting(100))
    assert found == sorted(contents(number).webhook for number in range(64))


def test_the_file_and_its_folder_are_synced_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, rename = os.fsync, os.rename

    def synced(descriptor: int) -> None:
        calls.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    def renamed(source: str, target: str) -> None:
        calls.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    Spool(tmp_path, ROOM).put(contents(1))

    assert calls == ["file", "rename", "folder"]


def test_a_file_of_another_version_is_set_aside_and_the_others_come_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ROOM)
    path = spool.put(Contents(b'{"keys":{"task_id":"t"},"data":1,"id":"t:end","later_field":1}'))
    spool.put(contents(2))

    assert [found for _, found in spool.waiting(10)] == [contents(2)]
    assert (tmp_path / "damaged" / path.name).exists()
