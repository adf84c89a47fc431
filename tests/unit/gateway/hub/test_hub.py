import pytest

from skyhooks.errors import Refused
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
