import pytest

from skyhooks.errors import Refused
from skyhooks.publication import Publication
from tests.unit.gateway.hub.sinks import World


def test_a_channel_nobody_serves_is_not_kept() -> None:
    world = World()
    world.publish(1)
    assert world.hub.channels == {}


def test_idle_channels_are_dropped_after_their_linger() -> None:
    world = World()
    subscriber, _ = world.subscribe()
    world.settle()
    assert world.hub.sweep(0, 30) == []
    subscriber.closed()
    assert world.hub.sweep(100, 30) == []
    assert world.hub.sweep(130, 30) == []
    assert world.hub.sweep(131, 30) == ["accounts/a"]
    assert world.hub.channels == {}


def test_a_subscriber_that_comes_back_in_time_keeps_its_channel() -> None:
    world = World()
    subscriber, _ = world.subscribe()
    world.settle()
    subscriber.closed()
    world.hub.sweep(0, 30)
    world.subscribe()
    assert world.hub.sweep(31, 30) == []


def test_an_ephemeral_channel_made_again_has_an_epoch_of_its_own() -> None:
    world = World()
    subscriber, _ = world.subscribe(name="chat")
    first = world.hub.publish("chat", "a", b"1")
    subscriber.closed()
    world.hub.flush()
    world.hub.sweep(0, 1)
    world.hub.sweep(2, 1)
    world.subscribe(name="chat")
    second = world.hub.publish("chat", "b", b"2")
    assert (str(first), str(second)) == ("run.1-1", "run.2-1")


def test_nothing_is_kept_of_what_is_published_where_nobody_listens() -> None:
    world = World()
    positions = {str(world.hub.publish(f"chat{number}", "a", b"1")) for number in range(100)}
    assert world.hub.channels == {}
    assert len(positions) == 100


def test_one_channel_too_many_is_refused_and_the_others_are_served() -> None:
    world = World(most=2)
    world.subscribe(name="one")
    world.subscribe(name="two")
    with pytest.raises(Refused) as refused:
        world.subscribe(name="three")
    assert (refused.value.status, refused.value.code) == (503, "too_many_channels")
    world.subscribe(name="two")


def test_the_node_is_told_what_is_served_before_the_log_is_read() -> None:
    world = World()
    told: list[str] = []
    world.open = lambda channel: told.extend(world.served)  # type: ignore[method-assign]

    world.hub.channel("accounts/a", durable=True)
    world.hub.channel("chat", durable=False)

    assert told == ["accounts/a"]
    assert world.served == ["accounts/a", "chat"]
    world.hub.sweep(0, 1)
    world.hub.sweep(2, 1)
    assert world.served == []


def test_what_another_node_published_takes_the_next_offset_here() -> None:
    world = World()
    channel = world.hub.channel("chat", durable=False)
    world.hub.publish("chat", "1", b"1")
    world.hub.hear("chat", "x", b"2")
    world.hub.hear("nobody", "x", b"3")

    assert (channel.ring.head, list(world.hub.channels)) == (2, ["chat"])


def test_a_publication_of_the_wrong_kind_changes_nothing() -> None:
    world = World()
    logged = world.hub.channel("accounts/a", durable=True)
    logged.open("e", 0)
    chat = world.hub.channel("chat", durable=False)

    world.hub.hear("accounts/a", "x", b"1")
    world.hub.offer("chat", "e", Publication("x", 1, b"1"))

    assert (logged.ring.head, chat.ring.head) == (0, 0)
