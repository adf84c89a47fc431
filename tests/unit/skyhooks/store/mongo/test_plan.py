"""What becomes of drafts behind given rows."""

from bson import ObjectId, Timestamp

from skyhooks.publication import Draft, Outcome, Position, TaskMark
from skyhooks.store.mongo.plan import Item, Knowledge, Place, Plan, make_plan
from skyhooks.store.mongo.row import Slot

ACME = "accounts/acme"
TASK = "tasks/1"


def item(name: str, *channels: str, task: TaskMark | None = None, fence: int = 0) -> Item:
    return Item(Draft(id=name, channels=channels or (ACME,), data=b"1", task=task, fence=fence), ObjectId())


def plan(items: list[Item], *tips: Slot, **known: object) -> Plan:
    knowledge = Knowledge(**known)  # type: ignore[arg-type]
    return make_plan(items, {tip.channel: tip for tip in tips}, knowledge, lambda: Timestamp(0, 0))


def test_drafts_are_placed_behind_the_newest_row_and_behind_each_other() -> None:
    made = plan([item("1"), item("2")], Slot(ACME, "e", 5))
    assert [outcome.positions[ACME] for outcome in made.outcomes] == [Position("e", 6), Position("e", 7)]
    assert [row["a"]["offset"] for row in made.rows] == [6, 7]
    assert made.tips[ACME].offset == 7


def test_an_id_that_another_call_has_stored_is_a_duplicate() -> None:
    made = plan([item("1")], Slot(ACME, "e", 5), places={(ACME, "1"): Place(Position("e", 3), ObjectId())})
    assert made.outcomes == [Outcome("duplicate", {ACME: Position("e", 3)})]
    assert made.rows == []


def test_an_id_that_this_call_has_stored_is_stored() -> None:
    one = item("1")
    made = plan([one], Slot(ACME, "e", 5), places={(ACME, "1"): Place(Position("e", 3), one.key)})
    assert made.outcomes == [Outcome("stored", {ACME: Position("e", 3)})]
    assert made.rows == []


def test_the_same_id_twice_is_a_duplicate_of_the_first() -> None:
    made = plan([item("1"), item("1")])
    assert made.outcomes[1] == Outcome("duplicate", made.outcomes[0].positions)
    assert len(made.rows) == 1


def test_a_refusal_is_doubtful_until_the_rows_were_read_and_the_ids_looked_up() -> None:
    fenced = plan([item("1")], Slot(ACME, "e", 5, fence=2))
    assert (fenced.outcomes, fenced.doubtful) == ([Outcome("fenced")], True)
    assert not plan([item("1")], Slot(ACME, "e", 5, fence=2), certain=True).doubtful
    ended = plan([item("1", TASK, task=TaskMark("r", 0, "STARTED"))], Slot(TASK, "e", 5, ended=True))
    assert (ended.outcomes, ended.doubtful) == ([Outcome("superseded")], True)


def test_what_can_be_stored_is_never_doubtful() -> None:
    assert not plan([item("1")], Slot(ACME, "e", 5)).doubtful


def test_whether_a_run_was_seen_is_asked_and_then_known() -> None:
    tip = Slot(TASK, "e", 5, run="b", retries=0)
    old = [item("1", TASK, task=TaskMark("a", 0, "PROGRESS"))]
    assert plan(old, tip).questions == {(TASK, "a")}
    seen = plan(old, tip, runs={(TASK, "a"): True}, certain=True)
    assert (seen.questions, seen.outcomes) == (set(), [Outcome("superseded")])
    assert plan(old, tip, runs={(TASK, "a"): False}).outcomes[0].status == "stored"


def test_a_run_of_this_very_batch_was_seen() -> None:
    runs = [TaskMark("a", 0, "STARTED"), TaskMark("b", 0, "STARTED"), TaskMark("a", 0, "PROGRESS")]
    made = plan([item(str(n), TASK, task=mark) for n, mark in enumerate(runs)], runs={(TASK, "b"): False})
    assert [outcome.status for outcome in made.outcomes] == ["stored", "stored", "superseded"]
    assert made.questions == set()


def test_what_is_fenced_in_one_channel_has_no_row() -> None:
    made = plan([item("1", TASK, ACME)], Slot(ACME, "e", 5, fence=1), certain=True)
    assert made.outcomes == [Outcome("fenced")]
    assert made.rows == []
    assert TASK not in made.tips
