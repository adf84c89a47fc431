"""A watcher feeds listeners from the log: everything after they came, once, whoever appended it and whatever fails."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from skyhooks.adapters.limits import Limits
from skyhooks.adapters.listener import Gap, Handover
from skyhooks.adapters.watcher import Watcher, direct
from skyhooks.channel import Retention
from skyhooks.errors import StoreUnavailable
from skyhooks.publication import START, Draft, Position
from tests.processes import eventually
from tests.unit.skyhooks.adapters.exchange import LIMITS, Switched

ACME = "accounts/acme"


class Bench:
    """A watcher that looks when a test says so; handovers run at once, or wait when `held`."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.store = Switched()
        self.now = 0.0
        self.held: list[Handover] | None = None
        self.watcher = Watcher(self.store, self._dispatch, limits, clock=lambda: self.now)
        self.heard: list[Any] = []

    def _dispatch(self, handovers: Sequence[Handover]) -> None:
        if self.held is None:
            direct(handovers)
        else:
            self.held += handovers

    def listen(self, channel: str = ACME, since: Position | None = None, **options: Any) -> Any:
        return self.watcher.add(channel, self.heard.append, since, **options)


def test_a_callback_hears_what_is_appended_after_it_came_and_nothing_before() -> None:
    bench = Bench()
    bench.store.say("before")
    bench.listen()
    bench.watcher.look()
    bench.store.say(1, 2)
    bench.watcher.look()
    bench.watcher.look()
    bench.store.say(3)
    bench.watcher.look()
    assert bench.heard == [1, 2, 3]


def test_what_is_appended_between_registering_and_the_first_look_is_heard() -> None:
    bench = Bench()
    bench.store.say("before")
    bench.listen()
    bench.store.say(1)
    bench.watcher.look()
    assert bench.heard == [1]


def test_what_is_appended_while_somebody_registers_is_heard_by_the_next_look() -> None:
    bench = Bench()
    bench.watcher.add("accounts/other", print, None)
    bench.watcher.look()
    bench.store.say("before")

    def meanwhile() -> None:
        bench.store.say("in between")
        bench.watcher.look()

    bench.store.after_head = meanwhile
    bench.listen()
    bench.watcher.look()
    assert bench.heard == ["in between"]


def test_since_the_start_everything_that_is_kept_is_heard_in_pages() -> None:
    bench = Bench()
    bench.store.say(*range(10))
    bench.listen(since=START)
    for _ in range(3):
        bench.watcher.look()
    assert bench.heard == list(range(10))
    assert bench.store.reads == 3


def test_since_a_position_exactly_what_follows_is_heard() -> None:
    bench = Bench()
    bench.store.say(*range(5))
    head = bench.store.head(ACME)
    assert head is not None
    bench.listen(since=Position(head.epoch, 3))
    bench.watcher.look()
    assert bench.heard == [3, 4]


def test_a_position_ahead_of_the_log_waits_without_reading() -> None:
    bench = Bench()
    bench.store.say(1)
    head = bench.store.head(ACME)
    assert head is not None
    bench.listen(since=Position(head.epoch, 3))
    for _ in range(3):
        bench.watcher.look()
    assert (bench.heard, bench.store.reads) == ([], 0)
    bench.store.say(2, 3, 4)
    bench.watcher.look()
    assert bench.heard == [4]


def test_a_position_of_a_history_that_is_gone_is_a_gap_and_then_everything() -> None:
    bench = Bench()
    bench.store.say(1, 2)
    bench.listen(since=Position("gone", 7), on_gap=bench.heard.append)
    for _ in range(2):
        bench.watcher.look()
    head = bench.store.head(ACME)
    assert head is not None
    assert bench.heard == [Gap("gone-7", f"{head.epoch}-0"), 1, 2]


def test_what_retention_has_taken_is_one_gap() -> None:
    bench = Bench()
    bench.store.say(*range(6))
    bench.store.trim("accounts", Retention(count=2))
    bench.listen(since=START, on_gap=bench.heard.append)
    bench.watcher.look()
    head = bench.store.head(ACME)
    assert head is not None
    assert bench.heard == [Gap("0", f"{head.epoch}-4"), 4, 5]


def test_a_busy_listener_is_given_nothing_until_it_has_finished_and_delays_no_other() -> None:
    bench = Bench()
    bench.held = []
    bench.listen()
    other: list[Any] = []
    bench.watcher.add("accounts/other", other.append, None)
    bench.store.say(1)
    bench.watcher.look()
    bench.store.say(2)
    bench.store.say("x", channel="accounts/other")
    bench.watcher.look()
    slow, quick = bench.held
    quick.run_plainly()
    assert (bench.heard, other) == ([], ["x"])
    slow.run_plainly()
    bench.held.clear()
    bench.watcher.look()
    (rest,) = bench.held
    rest.run_plainly()
    assert bench.heard == [1, 2]


def test_listeners_that_stand_together_share_a_reading() -> None:
    bench = Bench()
    heard: list[list[Any]] = [[] for _ in range(5)]
    for mine in heard:
        bench.watcher.add(ACME, mine.append, None)
    bench.store.say(1)
    bench.watcher.look()
    assert heard == [[1]] * 5
    assert bench.store.reads == 1


def test_a_callback_that_is_added_twice_hears_everything_once() -> None:
    bench = Bench()
    assert bench.listen() is bench.listen()
    assert bench.watcher.count(ACME) == 1
    bench.store.say(1)
    bench.watcher.look()
    assert bench.heard == [1]


def test_a_callback_that_was_removed_hears_nothing_more_and_its_channel_is_forgotten() -> None:
    bench = Bench()
    bench.held = []
    callback = bench.heard.append
    bench.watcher.add(ACME, callback, None)
    bench.store.say(1)
    bench.watcher.look()
    assert bench.watcher.remove(ACME, callback)
    assert not bench.watcher.remove(ACME, callback)
    for handover in bench.held:
        handover.run_plainly()
    assert (bench.heard, bench.watcher.channels()) == ([], set())


def test_after_everybody_was_let_go_what_was_handed_over_is_not_heard() -> None:
    bench = Bench()
    bench.held = []
    bench.listen()
    bench.store.say(1)
    bench.watcher.look()
    bench.watcher.clear()
    for handover in bench.held:
        handover.run_plainly()
    assert len(bench.held) == 1
    assert (bench.heard, bench.watcher.channels()) == ([], set())


def test_an_outage_loses_nothing() -> None:
    bench = Bench()
    bench.listen()
    bench.watcher.look()
    bench.store.say(1)
    bench.store.away = True
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            bench.watcher.look()
    bench.store.away = False
    bench.watcher.look()
    assert bench.heard == [1]


def test_a_read_that_fails_after_the_news_was_heard_is_done_again() -> None:
    bench = Bench()
    bench.listen()
    bench.watcher.look()
    bench.store.say(1)
    reading = bench.store.read

    def fails(*_: Any) -> Any:
        raise StoreUnavailable("just now")

    bench.store.read = fails  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        bench.watcher.look()
    bench.store.read = reading  # type: ignore[method-assign]
    bench.watcher.look()
    assert bench.heard == [1]


def test_news_that_never_came_is_found_by_the_sweep() -> None:
    bench = Bench()
    bench.listen()
    bench.watcher.look()
    bench.store.say(1)
    bench.watcher._mark = bench.store.news(None).mark
    bench.watcher.look()
    assert bench.heard == []
    bench.now += LIMITS.sweep_seconds
    bench.watcher.look()
    assert bench.heard == [1]


def test_an_announcement_is_enough_to_be_served() -> None:
    bench = Bench()
    bench.listen()
    bench.watcher.look()
    bench.store.say(1, 2)
    bench.watcher._mark = bench.store.news(None).mark
    head = bench.store.head(ACME)
    assert head is not None
    bench.watcher.announce(ACME, head.position)
    bench.watcher.announce(ACME, Position(head.epoch, 1))
    bench.watcher.look()
    assert bench.heard == [1, 2]


def test_without_listeners_the_log_is_not_asked() -> None:
    bench = Bench()
    bench.store.away = True
    bench.watcher.look()


def test_a_reading_that_fails_leaves_no_listener_behind() -> None:
    bench = Bench()
    bench.store.away = True
    with pytest.raises(StoreUnavailable):
        bench.listen()
    assert bench.watcher.channels() == set()


def test_it_runs_in_a_thread_through_an_outage_until_it_is_stopped() -> None:
    bench = Bench()
    thread = threading.Thread(target=bench.watcher.run, daemon=True)
    thread.start()
    bench.listen()
    bench.store.say(1)
    eventually(lambda: bench.heard == [1])
    bench.store.away = True
    eventually(lambda: bench.watcher._failing)
    bench.store.away = False
    bench.store.say(2)
    eventually(lambda: bench.heard == [1, 2])
    bench.watcher.stop()
    thread.join(5)
    assert not thread.is_alive()


def test_appenders_and_listeners_in_many_threads_make_every_run_contiguous() -> None:
    bench = Bench()
    thread = threading.Thread(target=bench.watcher.run, daemon=True)
    thread.start()
    runs: list[list[str]] = [[] for _ in range(4)]

    def append(mine: int) -> None:
        for n in range(50):
            bench.store.append([_draft(f"{mine}-{n}")])

    def join(mine: list[str]) -> None:
        bench.watcher.add(ACME, lambda _, position: mine.append(position), None, with_position=True)

    threads = [threading.Thread(target=append, args=(n,)) for n in range(3)]
    threads += [threading.Thread(target=join, args=(mine,)) for mine in runs]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    bench.store.append([_draft("last")])
    eventually(lambda: all(mine and mine[-1].endswith("-151") for mine in runs))
    bench.watcher.stop()
    thread.join(5)
    for mine in runs:
        offsets = [int(position.rpartition("-")[2]) for position in mine]
        assert offsets == list(range(offsets[0], 152))


def _draft(name: str) -> Draft:
    return Draft(id=name, channels=(ACME,), data=b"1")
