import fcntl
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from skyhooks.errors import SettingsError
from skyhooks.pidfile import PidFile, Record
from skyhooks.tree import Outline
from tests.conftest import Spawn
from tests.processes import eventually

HOLD = """
import sys, time
from pathlib import Path
from skyhooks.pidfile import PidFile, Record
from skyhooks.tree import Outline
import os
file = PidFile(Path(sys.argv[1]))
file.take()
file.say(Record(os.getpid(), 0.0, Outline("root", "ready")))
print("taken", flush=True)
time.sleep(600)
"""


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[PidFile]:
    file = PidFile(tmp_path / "deeper" / "it.pid")
    yield file
    file.give_back()


def record(pid: int) -> Record:
    return Record(pid, 1.0, Outline("root", "ready"), ready=True)


def test_whoever_takes_it_is_its_holder_until_it_is_given_back(pids: PidFile) -> None:
    assert pids.holder() == 0
    pids.take()
    assert PidFile(pids.path).holder() == os.getpid()
    pids.give_back()
    assert pids.holder() == 0
    assert list(pids.path.parent.iterdir()) == []


def test_a_second_process_is_refused_with_the_first_one_s_id(pids: PidFile, spawn: Spawn) -> None:
    holder = spawn([sys.executable, "-c", HOLD, str(pids.path)])
    holder.wait_for("taken")
    assert pids.holder() == holder.pid
    with pytest.raises(SettingsError, match=f"process {holder.pid} runs this already"):
        pids.take()
    pids.give_back()
    assert pids.holder() == holder.pid


def test_what_a_killed_process_left_does_not_count_and_can_be_taken(pids: PidFile, spawn: Spawn) -> None:
    holder = spawn([sys.executable, "-c", HOLD, str(pids.path)])
    holder.wait_for("taken")
    assert eventually(pids.record).pid == holder.pid
    holder.close()
    assert pids.path.read_text() == f"{holder.pid}\n"
    assert (pids.holder(), pids.record()) == (0, None)
    pids.take()
    assert pids.holder() == os.getpid()


def test_somebody_who_looks_at_it_keeps_nobody_from_taking_it(pids: PidFile) -> None:
    pids.path.parent.mkdir()
    with pids.path.open("w") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.05, lambda: fcntl.flock(looking, fcntl.LOCK_UN)).start()
        pids.take()
    assert pids.holder() == os.getpid()


def test_a_record_counts_while_its_process_holds_the_file(pids: PidFile) -> None:
    pids.take()
    assert pids.record() is None
    pids.say(record(os.getpid()))
    assert pids.record() == record(os.getpid())
    pids.say(record(1))
    assert pids.record() is None


def test_a_record_that_cannot_be_read_is_none(pids: PidFile) -> None:
    pids.take()
    pids.path.with_name("it.pid.json").write_text("{")
    assert pids.record() is None


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"the pid file .*it\.pid cannot be written"):
        PidFile(tmp_path / "file" / "it.pid").take()
