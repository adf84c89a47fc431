"""Several subscriptions that share a connection which does not take everything: who goes on, and at what cost."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.hub.encoding import STREAM
from gateway.subscriptions import SHARE
from skyhooks.publication import START
from tests.unit.gateway.connect.stage import Stage
from tests.unit.gateway.hub.sinks import Pipe
from tests.unit.gateway.stores import draft, until

TWO = ("accounts/a", "accounts/b")


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    stage.session.closed()
    await stage.subscriptions.close()


async def follow(stage: Stage, *names: str, since: str = "") -> None:
    for name in names:
        stage.say("subscribe", channel=name, since=since)
    await until(lambda: sum("position" in one and "data" not in one for one in stage.wire.messages) == len(names))


async def drain(stage: Stage, room: int) -> None:
    """The connection takes so many frames more."""
    stage.wire.room = room
    stage.session.drained()
    for _ in range(20):
        await asyncio.sleep(0.001)  # for what must be read


async def test_a_busy_channel_does_not_keep_the_others_of_its_connection_waiting(stage: Stage) -> None:
    await follow(stage, *TWO)
    stage.wire.room = 0
    for name in TWO:
        for number in range(3):
            stage.say("publish", channel=name, data=number)
    await stage.settled()
    for _ in range(2):
        stage.wire.room = 1
        stage.session.drained()
    assert stage.wire.data("accounts/a") == stage.wire.data("accounts/b") == [0]


async def test_a_long_history_does_not_keep_a_short_one_waiting(stage: Stage) -> None:
    stage.store.append([draft(f"a{number}", TWO[0]) for number in range(2000)])
    stage.store.append([draft("b", TWO[1])])
    stage.wire.room = 0
    for name in TWO:
        stage.say("subscribe", channel=name, since="0")
    await stage.settled()
    for _ in range(10):
        if stage.wire.data(TWO[1]):
            break
        await drain(stage, 10)
    assert len(stage.wire.data(TWO[1])) == 1
    assert 0 < len(stage.wire.data(TWO[0])) < 600


async def test_a_channel_that_is_in_memory_does_not_keep_those_waiting_that_must_be_read(stage: Stage) -> None:
    stage.store.append([draft(f"b{number}", TWO[1], b"%d" % number) for number in range(20)])
    await follow(stage, TWO[0])
    stage.wire.room = 0
    stage.say("subscribe", channel=TWO[1], since="0")
    for number in range(200):
        stage.say("publish", channel=TWO[0], data=number)
        await drain(stage, 1)
        if len(stage.wire.data(TWO[1])) == 20:
            break
    assert stage.wire.data(TWO[1]) == list(range(20))


async def test_everything_comes_in_order_however_little_is_taken_at_a_time(stage: Stage) -> None:
    names = [f"accounts/{number}" for number in range(20)]
    for name in names:
        stage.store.append([draft(f"p{number}", name, b"%d" % number) for number in range(10)])
    stage.wire.room = 0
    for name in names:
        stage.say("subscribe", channel=name, since="0")
    await stage.settled()
    for turn in range(300):
        await drain(stage, 1 + turn % 3)
        if turn < 50:
            stage.say("publish", channel=names[turn % 20], data=10 + turn // 20)
    for turn, name in enumerate(names):
        assert stage.wire.data(name) == list(range(13 if turn < 10 else 12)), name


async def test_nothing_is_read_that_the_connection_has_no_room_for(stage: Stage) -> None:
    names = [f"accounts/{number}" for number in range(100)]
    for name in names:
        stage.store.append([draft(f"p{number}", name) for number in range(10)])
    stage.wire.room = 0
    for name in names:
        stage.say("subscribe", channel=name, since="0")
    await stage.settled()
    assert stage.store.reads == 0
    for _ in range(10):
        await drain(stage, 10)
    assert stage.store.reads <= 20, "one page at a time, and each is taken at least in part"


async def test_a_full_connection_is_not_tried_once_for_each_channel(stage: Stage) -> None:
    names = [f"accounts/{number}" for number in range(100)]
    await follow(stage, *names)
    stage.wire.room = 0
    for name in names:
        stage.say("publish", channel=name, data=1)
    await stage.settled()
    before = stage.wire.sends
    await drain(stage, 1)
    assert stage.wire.sends - before <= 2
    await drain(stage, 99)
    assert [stage.wire.data(name) for name in names] == [[1]] * 100


async def test_who_leaves_while_it_reads_makes_room_for_the_next(stage: Stage) -> None:
    for name in TWO:
        stage.store.append([draft("p", name)])
    await follow(stage, *TWO)
    for name in TWO:
        stage.say("unsubscribe", channel=name)
    await stage.settled()
    stage.store.away = True
    for name in TWO:
        stage.say("subscribe", channel=name, since="0")
    await stage.settled()
    stage.say("unsubscribe", channel=TWO[0])
    stage.store.away = False
    await until(lambda: stage.wire.data(TWO[1]) == [1])
    assert stage.wire.data(TWO[0]) == []


async def test_a_page_is_a_turn_however_much_room_there_is(stage: Stage) -> None:
    stage.store.append([draft(f"a{number}", TWO[0]) for number in range(2000)])
    stage.store.append([draft("b", TWO[1])])
    for name in TWO:
        stage.say("subscribe", channel=name, since="0")
    await until(lambda: len(stage.wire.data(TWO[0])) == 2000)
    before = [one["channel"] for one in stage.wire.messages if "data" in one]
    assert before.index(TWO[1]) <= 1000


async def test_a_chunk_is_a_turn_and_everybody_gets_as_many_as_it_takes(stage: Stage) -> None:
    await follow(stage, *TWO)
    stage.wire.room = 0
    for number in range(3):
        for name in TWO:
            stage.say("publish", channel=name, data=[number, "x" * 200_000])
    await stage.settled()
    stage.wire.room = 10**9
    stage.session.drained()
    assert {name: len(stage.wire.data(name)) for name in TWO} == {TWO[0]: 2, TWO[1]: 2}
    await until(lambda: all(len(stage.wire.data(name)) == 3 for name in TWO))


async def test_one_page_is_on_its_way_at_a_time(stage: Stage) -> None:
    names = [f"accounts/{number}" for number in range(20)]
    for name in names:
        stage.store.append([draft("p", name)])
    await follow(stage, *names)
    for name in names:
        stage.say("unsubscribe", channel=name)
    await stage.settled()
    stage.store.away = True
    for name in names:
        stage.say("subscribe", channel=name, since="0")
    await stage.settled()
    assert len(stage.subscriptions._replays) == 1
    stage.store.away = False
    await until(lambda: all(stage.wire.data(name) == [1] for name in names))


async def test_those_in_memory_wait_for_a_page_but_not_for_a_log_that_is_away(stage: Stage) -> None:
    stage.store.append([draft("p", TWO[0])])
    await follow(stage, *TWO)
    stage.say("unsubscribe", channel=TWO[0])
    await stage.settled()
    stage.wire.room = 0
    stage.store.away = True
    stage.say("subscribe", channel=TWO[0], since="0")
    stage.store.away = False
    stage.say("publish", channel=TWO[1], data=2)
    await stage.settled()
    stage.store.away = True
    await drain(stage, 2)
    assert len(stage.subscriptions._replays) == 1
    assert stage.wire.data(TWO[1]) == []
    await until(lambda: stage.wire.data(TWO[1]) == [2])
    stage.wire.room = 10
    stage.store.away = False
    await until(lambda: stage.wire.data(TWO[0]) == [1])


async def test_those_who_come_and_go_while_the_log_is_away_are_not_kept(stage: Stage) -> None:
    stage.store.append([draft("p", TWO[0])])
    await follow(stage, TWO[0])
    stage.say("unsubscribe", channel=TWO[0])
    await stage.settled()
    stage.store.away = True
    other = await stage.subscriptions.subscribe(TWO[0], STREAM, START, durable=True)
    other.opened(Pipe())
    for _ in range(1000):
        stage.say("subscribe", channel=TWO[0], since="0")
        stage.say("unsubscribe", channel=TWO[0])
        await stage.settled()
    assert sum(map(len, stage.subscriptions._replays.values())) <= 2 * SHARE
