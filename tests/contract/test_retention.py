"""`LogStore.trim`: what is dropped, what is kept, what is remembered."""

import pytest

from skyhooks.channel import Retention
from skyhooks.store.base import Store, Trimmed
from tests.contract.clock import Clock
from tests.contract.drafts import ACME, BOTH, TASK, draft, marked

DAY = 86_400.0
HOUR = 3600.0


def fill(store: Store, count: int, channel: str = ACME, size: int = 3) -> None:
    store.append([draft(f"p{n}", channel, data=b"x" * size) for n in range(1, count + 1)])


def shown(store: Store, channel: str = ACME) -> list[int]:
    return [publication.offset for publication in store.read(channel, 0).publications]


def status(store: Store, name: str, *channels: str) -> str:
    return store.append([draft(name, *channels)])[0].status


def test_nothing_goes_while_everything_is_within_bounds(store: Store) -> None:
    fill(store, 5)
    assert store.trim("accounts", Retention()) == Trimmed()
    assert shown(store) == [1, 2, 3, 4, 5]


def test_the_newest_rows_up_to_the_count_keep_their_data(store: Store) -> None:
    fill(store, 5)
    assert store.trim("accounts", Retention(count=2)) == Trimmed(stripped=3)
    assert shown(store) == [4, 5]


def test_the_newest_rows_up_to_the_size_keep_their_data(store: Store) -> None:
    fill(store, 5, size=10)
    assert store.trim("accounts", Retention(size=29)) == Trimmed(stripped=3)
    assert shown(store) == [4, 5]


def test_rows_lose_their_data_by_age(store: Store, clock: Clock) -> None:
    store.append([draft("old")])
    clock.advance(HOUR)
    store.append([draft("young")])
    clock.advance(HOUR)
    assert store.trim("accounts", Retention(age=1.5 * HOUR)) == Trimmed(stripped=1)
    assert shown(store) == [2]


def test_one_large_publication_beyond_the_size_can_still_be_read(store: Store) -> None:
    fill(store, 2, size=100)
    store.trim("accounts", Retention(size=10))
    assert shown(store) == [2]


def test_the_newest_row_loses_its_data_by_age_and_stays_the_head(store: Store, clock: Clock) -> None:
    fill(store, 2)
    before = store.head(ACME)
    clock.advance(30 * DAY)
    store.trim("accounts", Retention())
    page = store.read(ACME, 0)
    assert (page.after, page.head, page.publications) == (2, 2, ())
    assert store.head(ACME) == before


def test_the_history_goes_on_after_its_data_has_gone(store: Store, clock: Clock) -> None:
    fill(store, 2)
    before = store.head(ACME)
    clock.advance(30 * DAY)
    store.trim("accounts", Retention())
    (outcome,) = store.append([draft("new")])
    assert before is not None
    assert (outcome.positions[ACME].epoch, outcome.positions[ACME].offset) == (before.epoch, 3)
    assert shown(store) == [3]


def test_a_row_that_must_stay_keeps_everything_after_it(store: Store, clock: Clock) -> None:
    clock.advance(2 * HOUR)
    store.append([draft("young by the clock")])
    clock.advance(-2 * HOUR)
    store.append([draft("old by the clock")])
    clock.advance(2.5 * HOUR)
    assert store.trim("accounts", Retention(age=HOUR)) == Trimmed()
    assert shown(store) == [1, 2]


def test_an_id_is_remembered_without_data_within_the_dedupe_window(store: Store, clock: Clock) -> None:
    fill(store, 5)
    store.trim("accounts", Retention(count=1))
    clock.advance(DAY - 1)
    store.trim("accounts", Retention(count=1))
    assert status(store, "p1") == "duplicate"


def test_tombstones_are_forgotten_after_the_dedupe_window(store: Store, clock: Clock) -> None:
    fill(store, 5)
    store.trim("accounts", Retention(count=1))
    clock.advance(DAY + 1)
    assert store.trim("accounts", Retention(count=1)) == Trimmed(forgotten=4)
    assert status(store, "p1") == "stored"
    assert status(store, "p5") == "duplicate"
    assert shown(store) == [5, 6]


def test_rows_with_data_are_not_forgotten(store: Store, clock: Clock) -> None:
    fill(store, 3)
    clock.advance(2 * DAY)
    assert store.trim("accounts", Retention()) == Trimmed()
    assert status(store, "p1") == "duplicate"


def test_a_gap_is_told_over_forgotten_rows_too(store: Store, clock: Clock) -> None:
    fill(store, 5)
    clock.advance(2 * DAY)
    assert store.trim("accounts", Retention(count=2)) == Trimmed(stripped=3, forgotten=3)
    assert store.read(ACME, 1).after == 3


def test_a_round_is_bounded_and_the_next_one_goes_on(store: Store, clock: Clock) -> None:
    fill(store, 5, "accounts/a")
    fill(store, 5, "accounts/b")
    clock.advance(2 * DAY)
    done = Trimmed()
    rounds = 0
    while (one := store.trim("accounts", Retention(count=2), limit=4)) != Trimmed():
        assert one.stripped + one.forgotten <= 4
        done = Trimmed(done.stripped + one.stripped, done.forgotten + one.forgotten)
        rounds += 1
    assert (done, rounds) == (Trimmed(6, 6), 3)


def test_a_round_below_its_limit_leaves_nothing_to_do(store: Store, clock: Clock) -> None:
    for name in "abcdef":
        fill(store, 3, f"accounts/{name}")
    clock.advance(2 * DAY)
    while (one := store.trim("accounts", Retention(count=1), limit=5)).stripped + one.forgotten == 5:
        pass
    assert store.trim("accounts", Retention(count=1), limit=5) == Trimmed()


def test_a_round_is_not_spent_on_channels_with_nothing_to_spare(store: Store, clock: Clock) -> None:
    for name in "ab":
        store.append([draft("old", f"accounts/{name}")])
    clock.advance(30 * DAY)
    store.trim("accounts", Retention())
    for name in "ab":
        store.append([draft("young", f"accounts/{name}")])
    fill(store, 2, "accounts/c")
    store.trim("accounts", Retention(dedupe=DAY))
    assert store.trim("accounts", Retention(size=5), limit=1) == Trimmed(stripped=1)
    assert [shown(store, f"accounts/{name}") for name in "abc"] == [[2], [2], [2]]


def test_only_the_namespace_that_is_named_is_trimmed(store: Store) -> None:
    for channel in ("accounts", "accounts/a", "accountsx/a", "news/accounts"):
        fill(store, 2, channel)
    store.trim("accounts", Retention(count=1))
    assert [shown(store, c) for c in ("accounts", "accounts/a", "accountsx/a", "news/accounts")] == [
        [2],
        [2],
        [1, 2],
        [1, 2],
    ]


def test_a_tasks_channel_goes_as_a_whole(store: Store, clock: Clock) -> None:
    fill(store, 3, TASK)
    clock.advance(2 * DAY + 1)
    assert store.trim("tasks", Retention(age=HOUR, dedupe=2 * DAY)) == Trimmed(stripped=3, forgotten=3)
    assert store.head(TASK) is None
    assert status(store, "p1", TASK) == "stored"


@pytest.mark.parametrize("retention", [Retention(age=HOUR, dedupe=2 * DAY), Retention(age=2 * DAY, dedupe=HOUR)])
def test_a_tasks_channel_stays_until_both_age_and_dedupe_window_are_over(
    store: Store, clock: Clock, retention: Retention
) -> None:
    fill(store, 3, TASK)
    clock.advance(DAY)
    store.trim("tasks", retention)
    assert store.head(TASK) is not None
    assert status(store, "p1", TASK) == "duplicate"


def test_a_tasks_channel_that_still_grows_forgets_nothing(store: Store, clock: Clock) -> None:
    store.append([marked("a1", "a", 0, "STARTED"), marked("b1", "b", 0, "STARTED")])
    clock.advance(3 * DAY)
    store.append([marked("b2", "b", 0, "PROGRESS")])
    assert store.trim("tasks", Retention(age=DAY)) == Trimmed(stripped=2)
    assert store.append([marked("a2", "a", 0, "PROGRESS")])[0].status == "superseded"
    assert status(store, "a1", TASK) == "duplicate"


def test_a_task_stays_ended_when_its_data_has_gone(store: Store) -> None:
    store.append([marked("end", "a", 0, "SUCCESS"), draft("note", TASK)])
    store.trim("tasks", Retention(count=1))
    assert store.append([marked("late", "a", 0, "PROGRESS")])[0].status == "superseded"


def test_a_tasks_channel_that_comes_back_is_a_new_history(store: Store, clock: Clock) -> None:
    (before,) = store.append([marked("end", "a", 0, "SUCCESS")])
    clock.advance(3 * DAY)
    store.trim("tasks", Retention(age=DAY))
    (after,) = store.append([marked("begin", "b", 0, "STARTED")])
    assert after.positions[TASK].offset == 1
    assert after.positions[TASK].epoch != before.positions[TASK].epoch


def test_a_large_tasks_channel_goes_in_rounds(store: Store, clock: Clock) -> None:
    fill(store, 10, TASK)
    clock.advance(3 * DAY)
    while store.trim("tasks", Retention(age=DAY), limit=3) != Trimmed():
        pass
    assert store.head(TASK) is None
    assert status(store, "p10", TASK) == "stored"


def test_shared_data_stays_while_the_other_channel_needs_it(store: Store) -> None:
    store.append([draft("p1", *BOTH, data=b"1"), draft("p2", *BOTH, data=b"2")])
    store.trim("tasks", Retention(count=1))
    assert shown(store, TASK) == [2]
    assert [publication.data for publication in store.read(ACME, 0).publications] == [b"1", b"2"]
    store.trim("accounts", Retention(count=1))
    assert shown(store, ACME) == [2]
    assert shown(store, TASK) == [2]


def test_a_result_is_shown_to_its_account_after_its_task_has_gone(store: Store, clock: Clock) -> None:
    store.append([marked("end", "a", 0, "SUCCESS", *BOTH)])
    clock.advance(3 * DAY)
    store.trim("tasks", Retention(age=DAY))
    assert store.head(TASK) is None
    assert shown(store, ACME) == [1]
    assert status(store, "end", *BOTH) == "duplicate"


def test_fence_and_cursor_outlive_the_data(store: Store, clock: Clock) -> None:
    store.append([draft("1", fence=7, cursor="c")])
    clock.advance(30 * DAY)
    store.trim("accounts", Retention())
    head = store.head(ACME)
    assert head is not None
    assert (head.fence, head.cursor) == (7, "c")
    assert status(store, "2") == "fenced"
