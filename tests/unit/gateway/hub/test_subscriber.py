from gateway.hub.subscriber import State
from tests.unit.gateway.hub.sinks import World


def test_messages_from_a_subscriber_of_one_channel_end_its_connection() -> None:
    world = World()
    subscriber, pipe = world.subscribe()
    world.settle()
    subscriber.received("hello?")
    assert pipe.closed_with == 1003
    assert subscriber.state is State.GONE


def test_draining_matters_only_to_a_full_subscriber() -> None:
    world = World()
    subscriber, pipe = world.subscribe()
    world.settle()
    before = pipe.bytes
    subscriber.drained()
    assert pipe.bytes == before
    assert subscriber.state is State.LIVE
