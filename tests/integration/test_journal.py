"""Workers of both pools tell the journal what has ended, and no result waits for it."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from skyhooks.keys import make_keys, write_keys
from skyhooks.store.base import JournalEntry
from tests.integration.celery_stage import ROOT, Stage, account, opened, pool
from tests.processes import Process, eventually

__all__ = ["account", "pool"]

NODE = str(Path(__file__).with_name("journal_node.py"))


class Journal:
    """A stage with a worker, and a node that collects and does nothing else."""

    def __init__(self, stage: Stage, pool: str, *keys: str, bind: str = "", key: str = "") -> None:
        self.stage = stage
        self._bind = bind or f"ipc://{stage.folder}/n1.journal"
        self._keys = keys
        self._key = key
        self.collect()
        self.worker = stage.worker(pool)

    def collect(self) -> None:
        """Start the node, or start it again at the same place."""
        self.node = Process([sys.executable, NODE, self._bind, self.stage.store_url, *self._keys], cwd=ROOT)
        self._bind = self.node.wait_for(r"collecting at (\S+)")[1]
        info = {"url": "http://127.0.0.1:1", "role": "collector", "journal": self._bind, "key": self._key}
        self.stage.store.lease("nodes/n1", "n1", 600, msgspec.json.encode(info).decode())

    def of(self, task_id: str) -> list[JournalEntry]:
        return self.stage.store.journal(task_id=task_id)

    def data(self, task_id: str) -> dict[str, Any]:
        """What the journal has of a task, once it is there."""
        (entry,) = eventually(lambda: self.of(task_id), what=f"the journal of {task_id}:\n{self.worker.output}")
        found: dict[str, Any] = json.loads(entry.data)
        return found


@pytest.fixture(scope="module")
def journal(pool: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    with opened(tmp_path_factory.mktemp(pool)) as stage:
        made = Journal(stage, pool)
        try:
            yield made
        finally:
            made.node.close()


def test_what_has_ended_is_in_the_journal_with_its_state_and_runtime(journal: Journal, account: str) -> None:
    good = journal.stage.send("ok", 1, account=account)
    bad = journal.stage.send("boom", account=account)
    plain = journal.stage.send("sleeps", 0.2)

    assert journal.data(good.id)["state"] == "SUCCESS"
    assert journal.data(bad.id)["state"] == "FAILURE"
    assert journal.data(plain.id)["runtime"] >= 0.2
    (entry,) = journal.of(good.id)
    assert (entry.event, entry.account, entry.task_id) == ("finished", account, good.id)
    assert {one.task_id for one in journal.stage.store.journal(account)} == {good.id, bad.id}


def test_a_collector_that_is_paused_holds_up_no_result(journal: Journal, account: str) -> None:
    journal.node.signal(signal.SIGSTOP)
    try:
        results = [journal.stage.send("ok", number, account=account) for number in range(30)]
        for result in results:
            assert journal.stage.end(result.id)["state"] == "SUCCESS"
        assert journal.of(results[-1].id) == []
    finally:
        journal.node.signal(signal.SIGCONT)
    assert journal.data(journal.stage.send("ok", 1).id)["state"] == "SUCCESS"


def test_a_collector_that_was_killed_costs_nothing_and_is_found_again(journal: Journal, account: str) -> None:
    journal.node.close()
    results = [journal.stage.send("ok", number, account=account) for number in range(30)]
    for result in results:
        assert journal.stage.end(result.id)["state"] == "SUCCESS"
    journal.collect()

    later = journal.stage.send("ok", 1).id
    assert journal.data(later)["state"] == "SUCCESS"


def test_with_keys_a_worker_needs_one_and_says_so(pool: str, tmp_path: Path) -> None:
    own, worker = make_keys(), make_keys()
    _, secret = write_keys(tmp_path / "keys", "n1", own)
    _, workers = write_keys(tmp_path / "keys", "worker", worker)
    allowed = str(tmp_path / "keys")
    for settings, works in (({}, False), ({"SKYHOOKS_MESH_KEY": str(workers)}, True)):
        (tmp_path / str(works)).mkdir()
        with opened(tmp_path / str(works), settings) as stage:
            journal = Journal(stage, pool, str(secret), allowed, bind="tcp://127.0.0.1:0", key=own.public)
            try:
                result = stage.send("ok", 1)
                assert stage.end(result.id)["state"] == "SUCCESS"
                if works:
                    assert journal.data(result.id)["state"] == "SUCCESS"
                    assert "journal_unreachable" not in journal.worker.output
                else:
                    journal.worker.wait_for("skyhooks_mesh_key")
                    assert journal.of(result.id) == []
            finally:
                journal.node.close()
