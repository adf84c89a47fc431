"""Delivery on one channel: contiguous, once, whatever the connections and the log do."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.hub.encoding import STREAM
from gateway.hub.subscriber import State
from skyhooks.publication import START, Position
from tests.unit.gateway.hub.sinks import World


def test_a_live_subscriber_gets_what_is_published_after_it_came() -> None:
    world = World()
    world.publish(1, 2)
    _, pipe = world.subscribe()
    world.settle()
    world.publish(3, 4)
    world.settle()
    assert pipe.lines[0] == {"position": "e-2"}
    assert pipe.data == [3, 4]


def test_publications_of_one_turn_are_written_together() -> None:
    world = World()
    _, pipe = world.subscribe()
    world.settle()
    woken = world.woken
    world.publish(1, 2, 3)
    assert world.woken == woken + 1
    assert pipe.data == []
    world.hub.flush()
    assert pipe.data == [1, 2, 3]


def test_a_position_resumes_from_the_log_and_goes_on_live() -> None:
    world = World()
    world.publish(1, 2, 3, 4, 5, 6, 7)
    subscriber, pipe = world.subscribe(Position("e", 2))
    world.settle()
    world.publish(8)
    world.settle()
    assert pipe.data == [3, 4, 5, 6, 7, 8]
    assert subscriber.state is State.LIVE


def test_the_start_resumes_a_channel_that_has_no_history_yet() -> None:
    world = World()
    _, pipe = world.subscribe(START)
    world.settle()
    world.publish(1)
    world.settle()
    assert pipe.lines == [{"position": "0"}, {"position": "e-1", "data": 1}]


def test_what_retention_has_dropped_is_one_gap() -> None:
    world = World()
    world.publish(*range(1, 11))
    world.lost = 6
    _, pipe = world.subscribe(Position("e", 2))
    world.settle()
    assert pipe.lines[1] == {"gap": {"from": "e-2", "to": "e-6"}}
    assert pipe.data == [7, 8, 9, 10]


def test_a_position_of_an_older_history_is_told_so_and_gets_the_new_one_whole() -> None:
    world = World()
    world.publish(1, 2)
    _, pipe = world.subscribe(Position("old", 41))
    world.settle()
    assert pipe.lines[0] == {"gap": {"from": "old-41", "to": "e-0"}}
    assert pipe.data == [1, 2]


def test_a_hole_is_filled_from_the_log_before_anything_behind_it_is_shown() -> None:
    world = World()
    _, pipe = world.subscribe()
    world.settle()
    world.commit(1)  # by another node: this one is not told
    world.publish(2)
    world.hub.flush()
    assert pipe.data == []
    world.settle()
    assert pipe.data == [1, 2]


def test_a_head_that_is_announced_is_fetched() -> None:
    world = World()
    _, pipe = world.subscribe()
    world.settle()
    for value in range(1, 9):
        world.commit(value)
    world.hub.announce("accounts/a", Position("e", 8))
    world.settle()
    assert pipe.data == list(range(1, 9))


def test_old_and_repeated_publications_are_not_shown_again() -> None:
    world = World()
    _, pipe = world.subscribe()
    world.settle()
    world.publish(1, 2)
    for publication in world.log:
        world.hub.offer("accounts/a", "e", publication)
    world.settle()
    assert pipe.data == [1, 2]


def test_what_is_published_while_a_channel_opens_is_not_missed() -> None:
    world = World()
    _, pipe = world.subscribe(START)
    world.publish(1)  # committed after the head was read, offered before that answer is here
    world.opening.pop().open("", 0)
    world.settle()
    assert pipe.data == [1]


def test_a_position_ahead_of_this_node_waits_for_it_without_gap_or_repeat() -> None:
    world = World()
    world.publish(1)
    world.subscribe()
    world.settle()
    for value in (2, 3):
        world.commit(value)
    subscriber, pipe = world.subscribe(Position("e", 3))
    assert subscriber.state is State.AHEAD
    world.settle()
    world.publish(4)
    world.settle()
    assert pipe.lines == [{"position": "e-3"}, {"position": "e-4", "data": 4}]


def test_a_made_up_position_reads_the_log_once_and_harms_nobody() -> None:
    world = World()
    world.publish(0)
    _, live = world.subscribe()
    world.settle()
    _, pipe = world.subscribe(Position("e", 10**12))
    world.settle()
    world.publish(1)
    world.settle()
    assert (live.data, pipe.data) == ([1], [])
    world.publish(2)
    assert world.filling == []


def test_a_full_connection_loses_nothing_and_holds_up_nobody() -> None:
    world = World()
    slow, slow_pipe = world.subscribe(room=2)  # the notice and one publication
    _, pipe = world.subscribe()
    world.settle()
    if slow.state is State.FULL:
        slow_pipe.room += 2
        slow.drained()
    world.publish(1, 2, 3)
    world.hub.flush()
    assert pipe.data == [1, 2, 3]
    assert slow.state is State.FULL
    world.publish(4)
    world.hub.flush()
    slow_pipe.room = 10**9
    slow.drained()
    world.settle()
    world.publish(5)
    world.settle()
    assert slow_pipe.data == pipe.data == [1, 2, 3, 4, 5]
    assert slow.state is State.LIVE


def test_a_laggard_that_fell_off_the_ring_is_served_from_the_log() -> None:
    world = World(count=2)
    slow, pipe = world.subscribe(room=1)
    world.settle()
    world.publish(*range(1, 8))
    world.hub.flush()
    world.publish(*range(8, 12))
    world.hub.flush()
    pipe.room = 10**9
    slow.drained()
    world.settle()
    assert pipe.data == list(range(1, 12))


def test_an_ephemeral_laggard_that_fell_off_the_ring_gets_one_gap() -> None:
    world = World(count=2)
    slow, pipe = world.subscribe(room=1, name="chat")
    for value in range(1, 6):
        world.hub.publish("chat", f"p{value}", b"%d" % value)
        world.hub.flush()
    pipe.room = 10**9
    slow.drained()
    assert pipe.lines[1] == {"gap": {"from": "run.1-0", "to": "run.1-3"}}
    assert pipe.data == [4, 5]


def test_an_ephemeral_position_of_another_run_is_one_gap_then_live() -> None:
    world = World()
    world.subscribe(name="chat")
    world.hub.publish("chat", "p1", b"1")
    world.hub.flush()
    _, pipe = world.subscribe(Position("other.1", 9), name="chat")
    world.hub.publish("chat", "p2", b"2")
    world.hub.flush()
    assert pipe.lines == [{"gap": {"from": "other.1-9", "to": "run.1-1"}}, {"position": "run.1-2", "data": 2}]


def test_a_new_history_sends_everyone_away_to_come_back() -> None:
    world = World()
    world.publish(1)
    _, pipe = world.subscribe()
    world.settle()
    world.log.clear()
    world.epoch = "f"
    world.publish("new")
    world.settle()
    assert pipe.closed_with == 1012
    _, pipe = world.subscribe(Position("e", 1))
    world.settle()
    assert pipe.lines == [{"gap": {"from": "e-1", "to": "f-0"}}, {"position": "f-1", "data": "new"}]


def test_a_log_that_has_become_shorter_does_not_spin() -> None:
    world = World()
    world.publish(1, 2, 3)
    world.subscribe()
    world.settle()
    del world.log[1:]
    subscriber, pipe = world.subscribe(Position("e", 1))
    world.settle()
    assert subscriber.state is State.GONE
    assert pipe.closed_with == 1013


def test_rows_that_this_node_never_saw_and_retention_took_are_a_gap_for_the_live() -> None:
    world = World()
    _, pipe = world.subscribe()
    world.settle()
    world.publish(1)
    world.settle()
    for value in range(2, 9):
        world.commit(value)
    world.lost = 5
    world.hub.announce("accounts/a", Position("e", 8))
    world.settle()
    assert pipe.lines[2] == {"gap": {"from": "e-1", "to": "e-5"}}
    assert pipe.data == [1, 6, 7, 8]


def renewed(world: World, *values: object) -> None:
    """The log begins a new history with these values; nobody is told."""
    world.epoch, world.log = "f", []
    for value in values:
        world.commit(value)


def test_a_page_of_a_new_history_is_followed_by_the_rest_of_it() -> None:
    world = World()
    world.commit("old")
    world.subscribe()
    world.settle()
    world.hub.announce("accounts/a", Position("e", 2))  # a read is asked for, and meets another history
    renewed(world, 1, 2, 3)
    world.settle()
    _, pipe = world.subscribe(START)
    world.settle()
    assert pipe.data == [1, 2, 3]


def test_a_read_that_was_under_way_when_the_history_changed_hides_nothing_of_the_new_one() -> None:
    world = World()
    for value in range(50):
        world.commit(value)
    world.subscribe()
    world.settle()
    channel = world.hub.channels["accounts/a"]
    world.hub.announce("accounts/a", Position("e", 51))
    renewed(world, 1)
    late = world.page(50)
    world.filling.clear()
    channel.offer("f", world.log[0])
    channel.filled(late)
    world.settle()
    _, pipe = world.subscribe(START)
    world.settle()
    world.publish(2, 3)
    world.settle()
    assert pipe.data == [1, 2, 3]


def test_subscribers_at_the_same_place_share_the_encoding_of_a_page() -> None:
    world = World()
    world.publish(1, 2, 3)
    subscribers = [world.subscribe(START) for _ in range(5)]
    world.opening.pop().open("e", 3)
    encoded: list[bytes] = []
    encoding = type("Counting", (type(STREAM),), {"publication": lambda self, at, data: encoded.append(data) or b"x"})()
    for subscriber, _ in subscribers:
        subscriber.encoding = encoding
    channel = world.hub.channels["accounts/a"]
    channel.replayed([subscriber for subscriber, _ in subscribers], world.page(0))
    assert encoded == [b"1", b"2", b"3"]


def test_a_subscriber_that_left_is_not_written_to() -> None:
    world = World()
    subscriber, pipe = world.subscribe()
    world.settle()
    subscriber.closed()
    world.publish(1)
    world.settle()
    assert pipe.data == []
    assert world.hub.subscribers == 0


STEPS = st.lists(
    st.one_of(
        *[st.tuples(st.just("publish"), st.integers(1, 4))] * 3,
        st.tuples(st.just("elsewhere"), st.integers(1, 3)),
        st.tuples(st.just("announce"), st.just(0)),
        st.tuples(st.just("flush"), st.just(0)),
        st.tuples(st.just("subscribe"), st.integers(0, 30)),
        *[st.tuples(st.just("drain"), st.integers(0, 6))] * 2,
        st.tuples(st.just("fill"), st.just(0)),
        st.tuples(st.just("replay"), st.integers(0, 5)),
    ),
    min_size=30,
    max_size=80,
)


@given(STEPS, st.integers(1, 5))
@settings(max_examples=300, deadline=None)
def test_every_subscriber_sees_a_contiguous_run_from_where_it_came(steps: list[tuple[str, int]], count: int) -> None:
    """Any order of commits, flushes, short writes, drains and late reads of the log."""
    world = World(count=count)
    world.hub.channel("accounts/a", durable=True)
    world.settle()
    subscribers = []
    for step, number in steps:
        if step == "publish":
            world.publish(*range(len(world.log) + 1, len(world.log) + 1 + number))
        elif step == "elsewhere":
            for _ in range(number):
                world.commit(len(world.log) + 1)
        elif step == "announce" and world.log:
            world.hub.announce("accounts/a", Position("e", len(world.log)))
        elif step == "flush":
            world.hub.flush()
        elif step == "subscribe":
            since = Position("e", min(number, len(world.log))) if number % 3 and world.log else None
            # As `Subscriptions.subscribe` does: a position that is news to this node makes it read the head first.
            if since is not None:
                world.hub.announce("accounts/a", Position("e", len(world.log)))
            subscribers.append((since, *world.subscribe(since, room=number % 4)))
        elif step == "drain":
            for _, subscriber, pipe in subscribers:
                pipe.room += number
                if pipe.room:
                    subscriber.drained()
        elif step == "fill" and world.filling:
            channel = world.filling.pop()
            channel.filled(world.page(channel.ring.head))
        elif step == "replay" and world.replaying:
            channel, subscriber = world.replaying.pop(number % len(world.replaying))
            channel.replayed([subscriber], world.page(subscriber.cursor))
    for _, subscriber, pipe in subscribers:
        pipe.room = 10**9
        subscriber.drained()
    world.settle()
    if world.log:
        world.hub.announce("accounts/a", Position("e", len(world.log)))
    world.settle()
    for since, subscriber, pipe in subscribers:
        assert pipe.closed_with is None
        assert subscriber.state is State.LIVE
        start = int(pipe.lines[0]["position"].rpartition("-")[2]) if since is None else since.offset
        assert pipe.data == list(range(start + 1, len(world.log) + 1))


def test_the_log_is_not_read_for_a_connection_without_room() -> None:
    world = World(count=2)
    for number in range(10):
        world.publish(number)
    subscriber, pipe = world.subscribe(START, room=1)  # takes where it stands, and nothing more
    world.settle()
    assert subscriber.state is State.FULL
    assert world.replaying == []
    assert pipe.data == []
    pipe.room = 100
    subscriber.drained()
    assert len(world.replaying) == 1
    world.settle()
    assert pipe.data == list(range(10))
