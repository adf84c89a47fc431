"""The folder of the embedded broker: whole messages, one owner for each, and nothing of the living is taken away."""

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from skyhooks.broker_folder import BrokerFolder, Recovered, Taken
from tests.conftest import Spawn
from tests.processes import forked


@pytest.fixture
def folder(tmp_path: Path) -> BrokerFolder:
    made = BrokerFolder(tmp_path / "broker")
    made.prepare()
    return made


def payload(taken: Taken | None) -> bytes | None:
    return taken and taken.payload


def nobody_has_finished(message: bytes) -> bool:
    return False


def test_messages_come_out_in_the_order_in_which_they_went_in(folder: BrokerFolder) -> None:
    for number in range(5):
        folder.put("celery", b"%d" % number)

    assert folder.size("celery") == 5
    assert [payload(folder.take("celery")) for _ in range(6)] == [b"0", b"1", b"2", b"3", b"4", None]


def test_queues_do_not_mix_whatever_they_are_called(folder: BrokerFolder) -> None:
    names = ["a", "a.b", "b", "../a", ".a", "a/b", "celery@host.pidbox", "é"]
    for name in names:
        folder.put(name, name.encode())

    assert [payload(folder.take(name)) for name in names] == [name.encode() for name in names]
    assert sorted(os.listdir(folder.root)) == ["damaged", "exchanges", "held", "queues", "taken"]


def test_everything_is_for_this_user_only(folder: BrokerFolder) -> None:
    folder.put("celery", b"secret")

    for path in (folder.root, *folder.root.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_message_has_one_taker(folder: BrokerFolder) -> None:
    other = BrokerFolder(folder.root)
    for number in range(20):
        folder.put("celery", b"%d" % number)

    taken = [payload(one.take("celery")) for _ in range(10) for one in (folder, other)]

    assert sorted(filter(None, taken)) == sorted(b"%d" % number for number in range(20))


def test_a_settled_message_is_gone(folder: BrokerFolder) -> None:
    folder.put("celery", b"1")
    taken = folder.take("celery")
    assert taken is not None

    folder.settle(taken.tag)
    folder.settle(taken.tag)

    assert list(folder.root.rglob("*celery=*")) == []


def test_a_message_given_back_is_in_its_old_place(folder: BrokerFolder) -> None:
    folder.put("celery", b"1")
    taken = folder.take("celery")
    assert taken is not None
    folder.put("celery", b"2")

    folder.give_back(taken.tag, b"1 again")

    other = BrokerFolder(folder.root)
    assert [payload(other.take("celery")) for _ in range(3)] == [b"1 again", b"2", None]


def test_a_half_written_message_is_never_seen(folder: BrokerFolder) -> None:
    folder.put("celery", b"1")
    (folder.root / "queues" / "celery" / ".00000-dead").write_bytes(b"ha")

    assert folder.size("celery") == 1
    assert [payload(folder.take("celery")) for _ in range(2)] == [b"1", None]


def test_a_purge_counts_and_empties(folder: BrokerFolder) -> None:
    folder.put("celery", b"1")
    folder.put("celery", b"2")

    assert folder.purge("celery") == 2
    assert folder.take("celery") is None
    assert folder.purge("nothing") == 0


def test_bindings_are_kept_once_and_can_be_taken_back(folder: BrokerFolder) -> None:
    folder.bind("ex", ("key", "", "q1"))
    folder.bind("ex", ("key", "", "q1"))
    folder.bind("ex", ("", "^a$", "q2"))
    assert sorted(folder.bindings("ex")) == [("", "^a$", "q2"), ("key", "", "q1")]

    folder.unbind("ex", ("key", "", "q1"))
    assert folder.bindings("ex") == [("", "^a$", "q2")]
    assert folder.bindings("unknown") == []


def test_first_binds_of_many_processes_at_once_are_all_kept(folder: BrokerFolder, spawn: Spawn) -> None:
    code = (
        "import sys, pathlib; from skyhooks.broker_folder import BrokerFolder\n"
        "folder = BrokerFolder(pathlib.Path(sys.argv[1]))\n"
        "folder.prepare()\n"
        "[folder.bind(f'ex{n}', ('', '', sys.argv[2])) for n in range(10)]\n"
    )
    processes = [spawn([sys.executable, "-c", code, str(folder.root), f"q{number}"]) for number in range(8)]

    assert [process.wait() for process in processes] == [0] * 8
    for number in range(10):
        assert sorted(queue for _, _, queue in folder.bindings(f"ex{number}")) == [f"q{n}" for n in range(8)]


def test_what_a_live_consumer_has_is_left_with_it(folder: BrokerFolder) -> None:
    folder.put("celery", b"1")
    folder.take("celery")

    assert BrokerFolder(folder.root).recover(nobody_has_finished) == Recovered()
    assert folder.size("celery") == 0


def test_what_a_dead_consumer_had_is_queued_again_unless_it_was_finished(folder: BrokerFolder, spawn: Spawn) -> None:
    for number in range(3):
        folder.put("celery", b"%d" % number)
    code = (
        "import os, sys, pathlib; from skyhooks.broker_folder import BrokerFolder\n"
        "folder = BrokerFolder(pathlib.Path(sys.argv[1]))\n"
        "[folder.take('celery') for _ in range(3)]\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert spawn([sys.executable, "-c", code, str(folder.root)]).wait() == -9

    found = folder.recover(lambda message: message == b"1")

    assert found == Recovered(requeued=2, finished=1)
    assert [payload(folder.take("celery")) for _ in range(3)] == [b"0", b"2", None]
    assert folder.recover(nobody_has_finished) == Recovered()


def test_a_closed_folder_leaves_no_trace_but_what_it_still_had(folder: BrokerFolder) -> None:
    idle, busy = BrokerFolder(folder.root), BrokerFolder(folder.root)
    for one in (idle, busy):
        folder.put("celery", b"1")
        taken = one.take("celery")
        assert taken is not None
        if one is idle:
            one.settle(taken.tag)
        one.close()

    assert folder.recover(nobody_has_finished) == Recovered(requeued=1)
    assert os.listdir(folder.root / "taken") == []


def test_an_auto_delete_queue_lives_as_long_as_somebody_holds_it(folder: BrokerFolder) -> None:
    other = BrokerFolder(folder.root)
    for one in (folder, other):
        one.hold("reply")
    folder.bind("ex", ("", "", "reply"))
    folder.bind("ex", ("", "", "celery"))
    folder.put("reply", b"1")

    folder.let_go("reply")
    assert folder.sweep() == 0
    other.close()
    assert folder.sweep() == 1

    assert folder.bindings("ex") == [("", "", "celery")]
    assert folder.size("reply") == 0
    assert os.listdir(folder.root / "held") == []


def test_a_queue_that_was_swept_can_be_held_again(folder: BrokerFolder) -> None:
    folder.hold("reply")
    folder.let_go("reply")
    folder.sweep()

    folder.hold("reply")

    assert folder.sweep() == 0


def test_dot_files_of_dead_writers_are_swept_when_they_are_old(folder: BrokerFolder) -> None:
    folder.put("celery", b"1")
    old, new = (folder.root / "queues" / "celery" / name for name in (".old", ".new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))

    folder.sweep()

    assert not old.exists()
    assert new.exists()


def test_a_message_that_nobody_can_read_is_kept_aside(folder: BrokerFolder) -> None:
    folder.put("celery", b"\xff")
    taken = folder.take("celery")
    assert taken is not None

    folder.set_aside(taken.tag)

    assert (folder.root / "damaged" / taken.tag).read_bytes() == b"\xff"


def test_several_processes_take_each_message_once(folder: BrokerFolder, spawn: Spawn) -> None:
    code = (
        "import json, sys, pathlib; from skyhooks.broker_folder import BrokerFolder\n"
        "folder, found = BrokerFolder(pathlib.Path(sys.argv[1])), []\n"
        "while (taken := folder.take('celery')) is not None:\n"
        "    found.append(int(taken.payload)); folder.settle(taken.tag)\n"
        "print(json.dumps(found), flush=True)\n"
    )
    for number in range(300):
        folder.put("celery", b"%d" % number)

    processes = [spawn([sys.executable, "-c", code, str(folder.root)]) for _ in range(3)]

    found = [json.loads(process.wait_for(r"\[.*\]")[0]) for process in processes]
    assert sorted(number for part in found for number in part) == list(range(300))


def test_a_process_that_was_forked_meanwhile_keeps_no_lock(tmp_path: Path) -> None:
    """The main process of a worker binds queues while its pool forks."""
    folder = BrokerFolder(tmp_path)
    folder.prepare()
    other = BrokerFolder(tmp_path)
    with ExitStack() as stack:

        def fork(bindings: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
            stack.enter_context(forked())
            return bindings

        folder._rebind("x", fork)
        other.bind("x", ("key", "", "queue"))
        assert folder.bindings("x") == [("key", "", "queue")]

        folder.hold("reply")
        stack.enter_context(forked())
        folder.let_go("reply")
        assert other.sweep() == 1
