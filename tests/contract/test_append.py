"""`LogStore.append`: order, idempotence, both slots, supersession, fences."""

import pytest

from skyhooks.publication import Draft, Outcome, Position
from skyhooks.store.base import Store
from tests.contract.clock import Clock
from tests.contract.drafts import ACME, BOTH, TASK, draft, marked
from tests.contract.history import ids


def append(store: Store, one: Draft) -> Outcome:
    (outcome,) = store.append([one])
    return outcome


def statuses(store: Store, *drafts: Draft) -> list[str]:
    return [outcome.status for outcome in store.append(drafts)]


def test_offsets_are_contiguous_from_one_in_one_epoch(store: Store) -> None:
    outcomes = [append(store, draft("p1")), *store.append([draft("p2"), draft("p3")]), append(store, draft("p4"))]
    positions = [outcome.positions[ACME] for outcome in outcomes]
    assert [position.offset for position in positions] == [1, 2, 3, 4]
    assert len({position.epoch for position in positions}) == 1
    assert ids(store, ACME) == ["p1", "p2", "p3", "p4"]


def test_an_epoch_can_be_part_of_a_position(store: Store) -> None:
    position = append(store, draft("p1")).positions[ACME]
    assert Position.parse(str(position)) == position


def test_channels_have_epochs_of_their_own(store: Store) -> None:
    positions = append(store, draft("p1", *BOTH)).positions
    assert positions[TASK].epoch != positions[ACME].epoch


def test_appending_nothing_does_nothing(store: Store) -> None:
    assert store.append([]) == []
    assert store.head(ACME) is None


def test_a_known_id_is_a_duplicate_and_keeps_its_offset(store: Store) -> None:
    first = append(store, draft("p1", data=b"1"))
    append(store, draft("p2"))
    assert append(store, draft("p1", data=b"2")) == Outcome("duplicate", first.positions)
    assert store.read(ACME, 0, 1).publications[0].data == b"1"
    assert ids(store, ACME) == ["p1", "p2"]


def test_a_duplicate_within_one_batch_is_found(store: Store) -> None:
    stored, duplicate, other = store.append([draft("p1"), draft("p1"), draft("p2")])
    assert duplicate == Outcome("duplicate", stored.positions)
    assert other.positions[ACME].offset == 2


def test_an_id_is_unique_in_its_channel_only(store: Store) -> None:
    assert statuses(store, draft("p1", "accounts/a"), draft("p1", "accounts/b")) == ["stored", "stored"]


def test_a_result_goes_into_both_channels_at_once(store: Store) -> None:
    append(store, draft("p0"))
    positions = append(store, draft("p1", *BOTH)).positions
    assert {name: position.offset for name, position in positions.items()} == {TASK: 1, ACME: 2}
    assert ids(store, TASK) == ["p1"]
    assert ids(store, ACME) == ["p0", "p1"]


def test_a_duplicate_of_both_names_both_positions(store: Store) -> None:
    first = append(store, draft("p1", *BOTH))
    assert append(store, draft("p1", *BOTH)) == Outcome("duplicate", first.positions)


@pytest.mark.parametrize("there", [(TASK,), (ACME,)])
def test_an_id_that_one_channel_has_is_stored_in_neither(store: Store, there: tuple[str, ...]) -> None:
    first = append(store, draft("p1", *there))
    assert append(store, draft("p1", *BOTH)) == Outcome("duplicate", first.positions)
    (missing,) = set(BOTH) - set(there)
    assert store.head(missing) is None


def test_what_is_fenced_in_one_channel_is_stored_in_neither(store: Store) -> None:
    append(store, draft("leader", fence=3))
    assert append(store, draft("p1", *BOTH)) == Outcome("fenced")
    assert store.head(TASK) is None
    assert ids(store, ACME) == ["leader"]


def test_the_first_end_closes_the_tasks_channel(store: Store) -> None:
    outcomes = statuses(
        store,
        marked("start", "a", 0, "STARTED"),
        marked("end", "a", 0, "FAILURE"),
        marked("late", "a", 0, "PROGRESS"),
        marked("other end", "b", 1, "SUCCESS"),
        marked("unknown run", "", 5, "REVOKED"),
    )
    assert outcomes == ["stored", "stored", "superseded", "superseded", "superseded"]
    assert ids(store, TASK) == ["start", "end"]


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE", "REVOKED"])
def test_each_end_state_is_an_end(store: Store, state: str) -> None:
    assert statuses(store, marked("1", "a", 0, state), marked("2", "b", 9, "SUCCESS")) == ["stored", "superseded"]


@pytest.mark.parametrize("state", ["PENDING", "STARTED", "PROGRESS", "RETRY"])
def test_other_states_are_no_end(store: Store, state: str) -> None:
    assert statuses(store, marked("1", "a", 0, state), marked("2", "a", 0, "SUCCESS")) == ["stored", "stored"]


def test_the_end_sent_again_is_a_duplicate_rather_than_superseded(store: Store) -> None:
    end = marked("end", "a", 0, "SUCCESS", *BOTH)
    assert append(store, end).positions == append(store, end).positions
    assert append(store, end).status == "duplicate"


def test_a_closed_task_leaves_the_accounts_channel_alone(store: Store) -> None:
    append(store, marked("end", "a", 0, "SUCCESS", *BOTH))
    assert append(store, marked("late", "a", 0, "PROGRESS", *BOTH)) == Outcome("superseded")
    assert ids(store, ACME) == ["end"]


def test_a_closed_task_takes_publications_without_a_mark(store: Store) -> None:
    append(store, marked("end", "a", 0, "SUCCESS"))
    assert append(store, draft("note", TASK)).status == "stored"


def test_ends_are_counted_in_the_tasks_channel_only(store: Store) -> None:
    append(store, marked("end1", "a", 0, "SUCCESS", "tasks/t1", ACME))
    assert append(store, marked("end2", "a", 0, "SUCCESS", "tasks/t2", ACME)).status == "stored"


def test_an_older_run_is_superseded_once_a_newer_one_has_begun(store: Store) -> None:
    outcomes = statuses(
        store,
        marked("a1", "a", 0, "STARTED"),
        marked("b1", "b", 0, "STARTED"),
        marked("a2", "a", 0, "PROGRESS"),
        marked("a3", "a", 0, "FAILURE"),
        marked("b2", "b", 0, "PROGRESS"),
    )
    assert outcomes == ["stored", "stored", "superseded", "superseded", "stored"]


def test_the_success_of_an_older_run_is_not_superseded(store: Store) -> None:
    outcomes = statuses(
        store,
        marked("a1", "a", 0, "STARTED"),
        marked("b1", "b", 0, "STARTED"),
        marked("a2", "a", 0, "SUCCESS"),
        marked("b2", "b", 0, "SUCCESS"),
    )
    assert outcomes == ["stored", "stored", "stored", "superseded"]


def test_a_run_with_fewer_retries_is_older_even_when_it_was_never_seen(store: Store) -> None:
    outcomes = statuses(
        store,
        marked("b1", "b", 2, "STARTED"),
        marked("a1", "a", 1, "STARTED"),
        marked("a2", "a", 1, "SUCCESS"),
    )
    assert outcomes == ["stored", "superseded", "stored"]


def test_a_run_with_as_many_retries_that_was_never_seen_is_newer(store: Store) -> None:
    assert statuses(store, marked("a1", "a", 1, "RETRY"), marked("b1", "b", 1, "STARTED")) == ["stored", "stored"]


def test_the_same_run_goes_on_with_fewer_retries(store: Store) -> None:
    assert statuses(store, marked("a1", "a", 1, "RETRY"), marked("a2", "a", 0, "STARTED")) == ["stored", "stored"]


def test_the_main_process_does_not_make_a_run_old(store: Store) -> None:
    outcomes = statuses(
        store,
        marked("a1", "a", 0, "STARTED"),
        marked("main", "", 3, "RETRY"),
        marked("a2", "a", 0, "PROGRESS"),
    )
    assert outcomes == ["stored", "stored", "stored"]


def test_the_main_process_does_not_make_an_old_run_new(store: Store) -> None:
    outcomes = statuses(
        store,
        marked("a1", "a", 0, "STARTED"),
        marked("b1", "b", 0, "STARTED"),
        marked("main", "", 0, "RETRY"),
        marked("a2", "a", 0, "PROGRESS"),
    )
    assert outcomes == ["stored", "stored", "stored", "superseded"]


def test_runs_are_told_apart_across_calls(store: Store) -> None:
    append(store, marked("a1", "a", 0, "STARTED"))
    append(store, marked("b1", "b", 0, "STARTED"))
    assert append(store, marked("a2", "a", 0, "PROGRESS")).status == "superseded"
    assert append(store, marked("c1", "c", 0, "STARTED")).status == "stored"
    assert append(store, marked("b2", "b", 0, "PROGRESS")).status == "superseded"


def test_a_newer_fence_refuses_older_ones(store: Store) -> None:
    outcomes = statuses(
        store,
        draft("1", fence=2),
        draft("2", fence=2),
        draft("3", fence=1),
        draft("4"),
        draft("5", fence=3),
        draft("6", fence=2),
    )
    assert outcomes == ["stored", "stored", "fenced", "fenced", "stored", "fenced"]
    assert ids(store, ACME) == ["1", "2", "5"]


def test_a_duplicate_is_known_behind_a_newer_fence(store: Store) -> None:
    append(store, draft("1"))
    append(store, draft("2", fence=1))
    assert append(store, draft("1")).status == "duplicate"


def test_the_head_is_the_newest_row(store: Store) -> None:
    assert store.head(ACME) is None
    append(store, draft("1", fence=4, cursor="c1"))
    position = append(store, draft("2", fence=5, cursor="c2")).positions[ACME]
    head = store.head(ACME)
    assert head is not None
    assert (head.position, head.fence, head.cursor) == (position, 5, "c2")


def test_the_cursor_is_carried_on_by_rows_without_one(store: Store) -> None:
    append(store, draft("1", fence=1, cursor="c1"))
    append(store, draft("2", fence=2))
    head = store.head(ACME)
    assert head is not None
    assert (head.fence, head.cursor) == (2, "c1")


def test_a_control_publication_is_marked_as_one(store: Store) -> None:
    store.append([Draft(id="term", channels=(ACME,), data=b"null", fence=1, control=True), draft("p", fence=1)])
    assert [publication.control for publication in store.read(ACME, 0).publications] == [True, False]


def test_a_clock_that_goes_backwards_changes_no_order(store: Store, clock: Clock) -> None:
    first = append(store, draft("1"))
    clock.advance(-3600)
    second = append(store, draft("2"))
    assert second.positions[ACME] == Position(first.positions[ACME].epoch, 2)
