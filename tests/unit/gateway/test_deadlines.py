import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from gateway.appender import Appender
from gateway.deadlines import ROUND, Deadlines, draft_of
from skyhooks.publication import Draft, Outcome, TaskMark
from skyhooks.store.base import Deadline
from skyhooks.store.memory import MemoryStore
from skyhooks.store.threaded import ThreadedStore
from tests.contract.clock import Clock
from tests.unit.gateway.stores import Switched, until

WINDOW = 86_400.0


class Scene:
    """A store with a clock, and one leader on it."""

    def __init__(self, memory: MemoryStore, clock: Clock) -> None:
        self.memory = memory
        self.clock = clock
        self.statuses: list[str] = []
        self.store = ThreadedStore(memory)
        self.appender = Appender(self.store, self._committed, count=256, size=1 << 20)
        self.deadlines = self.leader()

    def leader(self) -> Deadlines:
        return Deadlines(self.store, self.appender.append, pause=0.01, remembered=WINDOW, clock=lambda: 7.5)

    def _committed(self, drafts: Any, outcomes: Any) -> None:
        self.statuses += [outcome.status for outcome in outcomes]

    def add(self, task_id: str, seconds: float = 10, reason: str = "deadline", account: str = "acme") -> None:
        fields = {"task_id": task_id, "reason": reason, "seconds": seconds, "account": account, "task": "proj.add"}
        self.memory.add_deadlines([msgspec.convert(fields, Deadline)])

    def tell(self, task_id: str, state: str, publication_id: str = "", account: str = "acme") -> Outcome:
        """What a worker appends."""
        (outcome,) = self.memory.append(
            [
                Draft(
                    id=publication_id or f"{task_id}:run:1",
                    channels=(f"tasks/{task_id}", f"accounts/{account}"),
                    data=b"{}",
                    task=TaskMark("run", 0, state),
                )
            ]
        )
        return outcome

    def shown(self, channel: str) -> list[dict[str, Any]]:
        return [msgspec.json.decode(one.data) for one in self.memory.read(channel, 0).publications]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    clock = Clock()
    made = Scene(MemoryStore(clock), clock)
    yield made
    await made.store.close()


async def test_a_task_of_which_nothing_was_heard_fails_at_its_deadline_in_both_channels(scene: Scene) -> None:
    scene.add("t1", 10)
    scene.clock.advance(9)
    assert await scene.deadlines.look(3) == 0
    assert scene.shown("tasks/t1") == []
    scene.clock.advance(1)
    assert await scene.deadlines.look(3) == 1
    (event,) = scene.shown("tasks/t1")
    assert scene.shown("accounts/acme") == [event]
    error = event.pop("error")
    assert event == {
        "task_id": "t1",
        "task": "proj.add",
        "state": "FAILURE",
        "at": 7.5,
        "account": "acme",
        "end": True,
    }
    assert (error["type"], error["code"]) == ("DeadlineExceeded", "deadline")
    assert "10 s" in error["message"]
    assert scene.memory.overdue() == []


async def test_without_an_account_only_the_task_s_channel_is_told(scene: Scene) -> None:
    scene.add("t1", 0, account="")
    await scene.deadlines.look(3)
    assert [event["state"] for event in scene.shown("tasks/t1")] == ["FAILURE"]
    assert "account" not in scene.shown("tasks/t1")[0]


async def test_a_task_that_runs_past_its_deadline_fails_and_its_success_comes_too_late(scene: Scene) -> None:
    scene.add("t1")
    scene.tell("t1", "STARTED")
    scene.clock.advance(10)
    await scene.deadlines.look(3)
    assert [event.get("state") for event in scene.shown("tasks/t1")] == [None, "FAILURE"]
    assert scene.tell("t1", "SUCCESS", "t1:end").status == "duplicate"
    assert scene.tell("t1", "PROGRESS", "t1:run:2").status == "superseded"
    assert len(scene.shown("tasks/t1")) == 2


async def test_a_task_that_has_ended_is_settled_without_a_word(scene: Scene) -> None:
    scene.add("t1")
    scene.tell("t1", "STARTED")
    scene.tell("t1", "SUCCESS", "t1:end")
    scene.clock.advance(10)
    assert await scene.deadlines.look(3) == 1
    assert scene.memory.overdue() == []
    assert scene.statuses == []
    assert len(scene.shown("accounts/acme")) == 2


async def test_a_task_that_never_began_expires(scene: Scene) -> None:
    scene.add("t1", 5, "expired")
    scene.clock.advance(5)
    await scene.deadlines.look(3)
    (event,) = scene.shown("accounts/acme")
    assert (event["state"], event["error"]["code"], event["end"]) == ("REVOKED", "expired", True)


async def test_a_task_that_has_begun_does_not_expire_and_keeps_its_deadline(scene: Scene) -> None:
    scene.add("t1", 5, "expired")
    scene.add("t1", 20)
    scene.tell("t1", "STARTED")
    scene.clock.advance(5)
    assert await scene.deadlines.look(3) == 1
    assert len(scene.shown("tasks/t1")) == 1
    scene.clock.advance(15)
    await scene.deadlines.look(3)
    assert scene.shown("tasks/t1")[-1]["error"]["code"] == "deadline"


async def test_an_end_that_comes_between_the_look_and_the_append_wins(scene: Scene) -> None:
    scene.add("t1")
    scene.clock.advance(10)

    async def append(drafts: Any) -> list[Outcome]:
        scene.tell("t1", "SUCCESS", "t1:end")
        return await scene.appender.append(drafts)

    deadlines = Deadlines(scene.store, append, pause=1, remembered=WINDOW, clock=lambda: 7.5)
    assert await deadlines.look(3) == 1
    assert scene.statuses == ["duplicate"]
    assert len(scene.shown("tasks/t1")) == 1
    assert scene.memory.overdue() == []


async def test_two_that_believe_to_lead_end_a_task_once(scene: Scene) -> None:
    for number in range(20):
        scene.add(f"t{number}")
    scene.clock.advance(10)
    await asyncio.gather(scene.leader().look(3), scene.leader().look(4))
    assert len(scene.shown("accounts/acme")) == 20
    assert scene.memory.overdue() == []


async def test_a_worker_may_write_to_the_account_after_the_leader_has(scene: Scene) -> None:
    scene.add("t1")
    scene.clock.advance(10)
    await scene.deadlines.look(1_000)
    assert scene.tell("t2", "SUCCESS", "t2:end").status == "stored"


async def test_a_leader_that_died_before_settling_leaves_a_duplicate_to_the_next(scene: Scene) -> None:
    scene.add("t1")
    scene.clock.advance(10)
    overdue = scene.memory.overdue()
    await scene.appender.append([draft_of(overdue[0], 1.0)])
    assert await scene.deadlines.look(4) == 1
    assert len(scene.shown("tasks/t1")) == 1
    assert scene.memory.overdue() == []


async def test_an_empty_channel_tells_nothing_once_an_end_could_be_forgotten(scene: Scene) -> None:
    scene.add("t1")
    scene.clock.advance(WINDOW)
    assert await scene.deadlines.look(3) == 1
    assert scene.shown("tasks/t1") == []
    assert scene.memory.overdue() == []


async def test_more_than_one_round_is_ended_without_a_pause(scene: Scene) -> None:
    for number in range(ROUND + 5):
        scene.add(f"t{number}")
    scene.clock.advance(10)
    patient = Deadlines(scene.store, scene.appender.append, pause=3600, remembered=WINDOW, clock=lambda: 7.5)
    leading = asyncio.create_task(patient.lead(3))
    await until(lambda: len(scene.shown("accounts/acme")) == ROUND + 5)
    leading.cancel()


async def test_a_store_that_is_away_is_asked_again() -> None:
    memory = Switched()
    scene = Scene(memory, Clock())
    scene.add("t1", 0)
    memory.away = True
    leading = asyncio.create_task(scene.deadlines.lead(3))
    await asyncio.sleep(0.05)
    assert not leading.done()
    memory.away = False
    await until(lambda: scene.shown("tasks/t1"))
    leading.cancel()
    await scene.store.close()
