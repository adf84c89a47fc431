"""A ZeroMQ socket on the loop: nothing is left lying, nothing starves, nothing waits."""

import asyncio
import socket as stdlib_socket
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop
import zmq

from gateway.mesh.socket import PER_TURN, Context, LoopSocket, SocketOptions
from skyhooks.errors import SettingsError

Make = Callable[..., LoopSocket]


async def until(condition: Callable[[], object], within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    context: Context = zmq.Context()
    made: list[LoopSocket] = []

    def call(kind: int, receive: Callable[[list[bytes]], None] | None = None, **options: float) -> LoopSocket:
        made.append(LoopSocket(context, kind, receive, SocketOptions(**options)))  # type: ignore[arg-type]
        return made[-1]

    yield call
    for one in made:
        one.close(0)
    await asyncio.to_thread(context.term)


async def test_everything_sent_arrives_in_order_and_in_its_parts(make: Make) -> None:
    got: list[list[bytes]] = []
    pull, push = make(zmq.PULL, got.append, high_water=0), make(zmq.PUSH, high_water=0)
    push.connect(pull.bind("tcp://127.0.0.1:0"))
    sent = [[b"%d" % number, b"", b"x" * (number % 7)] for number in range(3000)]
    assert all(push.send(parts) for parts in sent)
    await until(lambda: len(got) == len(sent))
    assert got == sent


async def converse() -> None:
    # Each send swallows the edge that announces the next message.
    context: Context = zmq.Context()
    rounds: list[bytes] = []
    replier = LoopSocket(context, zmq.REP, lambda parts: replier.send(parts) and None)

    def answered(parts: list[bytes]) -> None:
        rounds.append(parts[0])
        if len(rounds) < 2000:
            asker.send([b"%d" % len(rounds)])

    asker = LoopSocket(context, zmq.REQ, answered)
    asker.connect(replier.bind("tcp://127.0.0.1:0"))
    asker.send([b"0"])
    await until(lambda: len(rounds) == 2000)
    asker.close(0)
    replier.close(0)
    await asyncio.to_thread(context.term)


async def test_a_conversation_that_sends_inside_receive_does_not_stall() -> None:
    await converse()


def test_nor_does_it_on_uvloop() -> None:
    uvloop.run(converse())


async def test_a_message_that_comes_while_others_are_sent_is_read(make: Make) -> None:
    heard: list[list[bytes]] = []
    one, other = make(zmq.DEALER, heard.append, high_water=0), make(zmq.DEALER, lambda parts: None, high_water=0)
    other.connect(one.bind("tcp://127.0.0.1:0"))
    for number in range(300):
        other.send([b"%d" % number])
        for _ in range(20):
            one.send([b"busy"])
        await until(lambda: len(heard) > number)  # noqa: B023  # awaited at once


async def test_a_flood_leaves_the_loop_its_turns(make: Make) -> None:
    got: list[int] = []
    turn = 0
    pull, push = make(zmq.PULL, lambda parts: got.append(turn), high_water=0), make(zmq.PUSH, high_water=0)
    push.connect(pull.bind("inproc://flood"))
    for _ in range(10 * PER_TURN):
        push.send([b"x"])
    async with asyncio.timeout(10):
        while len(got) < 10 * PER_TURN:
            turn += 1
            await asyncio.sleep(0)
    assert max(got.count(number) for number in set(got)) <= 2 * PER_TURN


async def test_sending_never_waits(make: Make) -> None:
    push = make(zmq.PUSH, high_water=5)
    push.connect("tcp://127.0.0.1:9")
    assert [push.send([b"x"]) for _ in range(7)] == [True] * 5 + [False] * 2


async def test_a_peer_that_is_gone_is_said_not_raised(make: Make) -> None:
    router = make(zmq.ROUTER, lambda parts: None)
    router.raw.setsockopt(zmq.ROUTER_MANDATORY, 1)
    router.bind("tcp://127.0.0.1:0")
    assert router.send([b"nobody", b"x"]) is False


async def test_what_receive_raises_does_not_stop_the_messages_behind_it(make: Make) -> None:
    got: list[bytes] = []
    raised: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: raised.append(context.get("exception")))

    def receive(parts: list[bytes]) -> None:
        if parts == [b"bad"]:
            raise LookupError("of the test")
        got.append(parts[0])

    pull, push = make(zmq.PULL, receive), make(zmq.PUSH)
    push.connect(pull.bind("tcp://127.0.0.1:0"))
    for part in (b"1", b"bad", b"2", b"bad", b"3"):
        push.send([part])
    await until(lambda: len(got) == 3)
    assert [type(error) for error in raised] == [LookupError] * 2


async def test_nothing_is_received_after_close(make: Make) -> None:
    got: list[list[bytes]] = []
    pull, push = make(zmq.PULL, got.append), make(zmq.PUSH)
    push.connect(pull.bind("inproc://closing"))
    push.send([b"x"])
    pull.close(0)
    pull.close(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert got == []


async def test_a_part_over_the_limit_disconnects_its_sender_only(make: Make) -> None:
    got: list[list[bytes]] = []
    pull = make(zmq.PULL, got.append, max_part=1000)
    endpoint = pull.bind("tcp://127.0.0.1:0")
    greedy, modest = make(zmq.PUSH), make(zmq.PUSH)
    greedy.connect(endpoint)
    modest.connect(endpoint)
    greedy.send([b"x" * 1001])
    modest.send([b"y" * 1000])
    await until(lambda: got)
    assert got == [[b"y" * 1000]]


async def test_garbage_and_silence_on_the_port_hurt_nobody_else(make: Make) -> None:
    got: list[list[bytes]] = []
    pull, push = make(zmq.PULL, got.append, handshake_seconds=0.2), make(zmq.PUSH)
    endpoint = pull.bind("tcp://127.0.0.1:0")
    address = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
    silent, loud = stdlib_socket.create_connection(address), stdlib_socket.create_connection(address)
    with silent, loud:
        loud.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(range(256)) * 100)
        push.connect(endpoint)
        push.send([b"x"])
        await until(lambda: got)
        silent.settimeout(10)
        # The greeting, then the end: whoever says nothing is disconnected.
        await asyncio.to_thread(lambda: [None for _ in iter(lambda: silent.recv(1000), b"")])
    # A port without CURVE takes peers of ZMTP 1.0, whose messages can be any bytes: what reads them must refuse them.
    assert [b"x"] in got


async def test_a_socket_comes_back_to_a_peer_that_starts_late(make: Make) -> None:
    got: list[list[bytes]] = []
    early = make(zmq.PULL, got.append)
    endpoint = early.bind("tcp://127.0.0.1:0")
    push = make(zmq.PUSH, retry_seconds=0.02)
    push.connect(endpoint)
    push.send([b"1"])
    await until(lambda: len(got) == 1)
    early.raw.unbind(endpoint)
    early.close(0)
    late = make(zmq.PULL, got.append)
    await until(lambda: _bound(late, endpoint))
    await until(lambda: push.send([b"2"]) and len(got) > 1)


@pytest.mark.parametrize("endpoint", ["nonsense", "tcp://192.0.2.1:7000", "ipc:///nowhere/x"])
async def test_where_it_cannot_listen_is_said(make: Make, endpoint: str) -> None:
    with pytest.raises(SettingsError, match=f"cannot listen at {endpoint}"):
        make(zmq.PULL, lambda parts: None).bind(endpoint)


async def test_an_endpoint_that_is_none_cannot_be_connected_to(make: Make) -> None:
    with pytest.raises(SettingsError, match="cannot connect to nonsense"):
        make(zmq.PUSH).connect("nonsense")


async def test_ipv6_is_spoken(make: Make) -> None:
    got: list[list[bytes]] = []
    pull, push = make(zmq.PULL, got.append), make(zmq.PUSH)
    endpoint = pull.bind("tcp://[::1]:0")
    assert endpoint.startswith("tcp://[::1]:")
    push.connect(endpoint)
    push.send([b"x"])
    await until(lambda: got)


def _bound(one: LoopSocket, endpoint: str) -> bool:
    try:
        one.bind(endpoint)
    except SettingsError:
        return False
    return True
