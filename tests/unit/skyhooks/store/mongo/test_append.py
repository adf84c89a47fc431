"""When appending goes on after an error, and when it gives up. What it stores is proven on real servers."""

import pytest
from bson import Timestamp
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure

from skyhooks.publication import Draft, Outcome, TaskMark
from skyhooks.store.mongo.append import PATIENCE
from skyhooks.store.mongo.clock import ServerClock
from skyhooks.store.mongo.core import Core
from skyhooks.store.mongo.row import Slot
from skyhooks.store.mongo.steps import Ask, Pause, Talk

COLLISION = BulkWriteError({"writeErrors": [{"index": 0, "code": 11000}], "writeConcernErrors": []})


class Steady:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Server:
    """Answers an append: inserts fail as it is told, nothing is ever found."""

    def __init__(self) -> None:
        self.steady = Steady()
        self.pauses: list[float] = []
        draft = Draft(id="1", channels=("accounts/a",), data=b"1")
        self.talk: Talk[list[Outcome]] = Talk(Core(ServerClock(), self.steady).append([draft]))

    def until_insert(self) -> None:
        while not (isinstance(self.talk.step, Ask) and self.talk.step.method == "insert_many"):
            if isinstance(self.talk.step, Pause):
                self.pauses.append(self.talk.step.seconds)
            self.talk.answered([])


def test_nothing_is_asked_for_nothing() -> None:
    assert Talk(Core(ServerClock()).append([])).result == []


def test_an_insert_without_an_error_ends_it() -> None:
    server = Server()
    server.until_insert()
    server.talk.answered(None)
    assert [outcome.status for outcome in server.talk.result] == ["stored"]


@pytest.mark.parametrize("error", [COLLISION, AutoReconnect("gone"), OperationFailure("disk full", 14031)])
def test_it_goes_on_while_there_is_time(error: Exception) -> None:
    server = Server()
    for _ in range(20):
        server.until_insert()
        server.talk.failed(error)
        server.steady.now += PATIENCE / 21
    server.until_insert()
    server.talk.answered(None)
    assert len(server.talk.result) == 1


@pytest.mark.parametrize("error", [COLLISION, AutoReconnect("gone")])
def test_it_gives_up_when_the_time_is_over(error: Exception) -> None:
    server = Server()
    server.until_insert()
    server.steady.now += PATIENCE + 0.1
    with pytest.raises(type(error)):
        server.talk.failed(error)


@pytest.mark.parametrize("error", [OperationFailure("not authorized", 13), OperationFailure("bad value", 2)])
def test_an_error_that_time_does_not_heal_ends_it_at_once(error: Exception) -> None:
    server = Server()
    server.until_insert()
    with pytest.raises(OperationFailure):
        server.talk.failed(error)


def test_after_an_outage_it_waits_longer_each_time_and_after_collisions_it_hardly_waits() -> None:
    waits = {}
    for error in (COLLISION, AutoReconnect("gone")):
        server = Server()
        for _ in range(12):
            server.until_insert()
            server.talk.failed(error)
        server.until_insert()
        waits[type(error)] = server.pauses
    assert max(waits[BulkWriteError]) <= 0.002
    assert waits[AutoReconnect][-1] > 10 * waits[AutoReconnect][0]


def test_what_was_not_seen_is_asked_again_after_somebody_else_has_written() -> None:
    draft = Draft(id="1", channels=("tasks/1",), data=b"1", task=TaskMark("a", 0, "PROGRESS"))
    tip = {"slot": Slot("tasks/1", "e", 5, run="b").document()}
    talk = Talk(Core(ServerClock()).append([draft]))
    asked = 0
    while asked < 2:
        assert isinstance(talk.step, Ask | Pause)
        method = talk.step.method if isinstance(talk.step, Ask) else "pause"
        if method == "insert_many":
            talk.failed(COLLISION)
        elif method == "find_one":
            asked += 1
            # The second time the run has been there: it was what we collided with.
            talk.answered({"_id": 1} if asked == 2 else None)
        else:
            talk.answered([tip | {"at": Timestamp(1, 1)}] if method == "aggregate" else None)
    assert [outcome.status for outcome in talk.result] == ["superseded"]
