"""WebSocket on a real connection, with the `websockets` client and with raw frames as the other side."""

import asyncio
import struct
from typing import Any

import pytest
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from gateway.edge.echo import echo
from gateway.edge.messages import MessageReader
from gateway.edge.request import Answer, Request, Response, WebSocket
from gateway.edge.server import Edge
from gateway.edge.settings import EdgeSettings
from gateway.edge.websocket import WebSocketSink
from tests.unit.gateway.edge.client import HANDSHAKE, Client, get
from tests.unit.gateway.edge.conftest import Connect, Serve, eventually
from tests.unit.gateway.edge.peer import Noting

KEY = HANDSHAKE[3]


def dial(edge: Edge, **options: Any) -> websocket:
    return websocket(f"ws://127.0.0.1:{edge.port}/", **options)


def frame(opcode: Opcode, data: bytes = b"", fin: bool = True) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=True)


def reader_of(peer: Noting) -> MessageReader | None:
    assert isinstance(peer.sink, WebSocketSink)
    return peer.sink._reader


async def upgraded(client: Client, *behind: bytes) -> Client:
    """`client` after its handshake, with `behind` sent in the same packet."""
    client.send(get("/", *HANDSHAKE) + b"".join(behind))
    assert (await client.answer()).status == 101
    return client


async def close_code(client: Client) -> int:
    """The code of the Close frame that comes next, behind which the connection ends."""
    data = await client.rest()
    assert data[0] == 0x88
    assert len(data) == data[1] + 2
    return int(struct.unpack("!H", data[2:4])[0])


async def test_the_handshake_is_that_of_the_rfc(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve({"/": echo}))
    client.send(get("/", *HANDSHAKE))
    answer = await client.answer()
    assert answer.status == 101
    assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert (answer.headers["upgrade"], answer.headers["connection"]) == ("websocket", "Upgrade")
    assert not {"sec-websocket-extensions", "content-length"} & set(answer.headers)


async def test_compression_is_never_accepted(serve: Serve) -> None:
    async with dial(await serve({"/": echo}), compression="deflate") as client:
        assert client.protocol.extensions == []


async def test_the_node_may_choose_a_subprotocol(serve: Serve) -> None:
    async def choose(request: Request) -> Answer:
        assert request.websocket
        return WebSocket(peer=Noting(), headers={"Sec-WebSocket-Protocol": request.headers["sec-websocket-protocol"]})

    async with dial(await serve({"/": choose}), subprotocols=[Subprotocol("skyhooks")]) as client:
        assert client.subprotocol == "skyhooks"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ((*HANDSHAKE[:3], "Sec-WebSocket-Key: c2hvcnQ="), 400, "bad_upgrade"),
        ((*HANDSHAKE[:3], "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j*Q=="), 400, "bad_upgrade"),
        (HANDSHAKE[:3], 400, "bad_upgrade"),
        ((*HANDSHAKE, KEY), 400, "bad_upgrade"),
        ((*HANDSHAKE[:2], "Sec-WebSocket-Version: 8", KEY), 426, "upgrade_required"),
        ((*HANDSHAKE[:2], KEY), 426, "upgrade_required"),
        ((), 426, "upgrade_required"),
        (("Upgrade: websocket", *HANDSHAKE[2:]), 426, "upgrade_required"),
        (("Connection: Upgrade", "Upgrade: h2c", *HANDSHAKE[2:]), 426, "upgrade_required"),
    ],
)
async def test_what_is_no_handshake_is_told_what_would_be(
    serve: Serve, connect: Connect, headers: tuple[str, ...], status: int, code: str
) -> None:
    client = await connect(await serve({"/": echo}))
    client.send(get("/", *headers))
    answer = await client.answer()
    assert (answer.status, answer.code) == (status, code)
    if status == 426:
        assert answer.headers["sec-websocket-version"] == "13"
        assert "Upgrade" in answer.headers["connection"]


async def test_a_handshake_that_is_not_accepted_ends_the_connection(serve: Serve, connect: Connect) -> None:
    async def deny(request: Request) -> Answer:
        return Response(status=403, body=b"no")

    client = await connect(await serve({"/": deny}))
    client.send(get("/", *HANDSHAKE) + get("/smuggled"))
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (403, "close")
    assert await client.rest() == b""


async def test_frames_behind_the_handshake_are_read(serve: Serve, connect: Connect) -> None:
    client = await upgraded(await connect(await serve({"/": echo})), frame(Opcode.TEXT, b"early"))
    assert await client.until(b"early") == b"\x81\x05early"


async def test_frames_that_come_while_the_handler_decides_are_kept(serve: Serve, connect: Connect) -> None:
    release, peer = asyncio.Event(), Noting()

    async def slow(request: Request) -> Answer:
        await release.wait()
        return WebSocket(peer=peer)

    client = await connect(await serve({"/": slow}))
    client.send(get("/", *HANDSHAKE))
    for number in range(200):
        client.send(frame(Opcode.TEXT, str(number).encode()))
        await asyncio.sleep(0)
    release.set()
    await eventually(lambda: len(peer.messages) == 200)
    assert peer.messages == [str(number) for number in range(200)]


async def test_messages_fragments_and_pings_go_through(serve: Serve) -> None:
    edge = await serve({"/": echo}, websocket_message_bytes=1_000_000)
    async with dial(edge, max_size=None) as client:
        for message in ("a", "é" * 400_000, b"\xff" * 1_000_000):
            await client.send(message)
            assert await client.recv() == message
        await client.send(["frag", "ment", "é"])
        await asyncio.wait_for(await client.ping(b"x" * 125), 10)
        assert await client.recv() == "fragmenté"


async def test_a_reader_exists_only_in_the_middle_of_something(serve: Serve, connect: Connect) -> None:
    peer = Noting()
    client = await upgraded(await connect(await serve({"/": peer.websocket})))
    assert reader_of(peer) is None
    data = frame(Opcode.TEXT, b"abc", fin=False) + frame(Opcode.CONT, b"d")
    for byte in data[:-1]:
        client.send(bytes([byte]))
    await eventually(lambda: reader_of(peer) is not None)
    client.send(data[-1:])
    await eventually(lambda: peer.messages == ["abcd"])
    assert reader_of(peer) is None


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x81\x01a", 1002),  # not masked
        (b"\xc1\x80\0\0\0\0", 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (frame(Opcode.CONT, b"a"), 1002),
        (frame(Opcode.TEXT, b"\xff"), 1007),
        (frame(Opcode.TEXT, b"\xc3", fin=False) + frame(Opcode.CONT, b"("), 1007),
        (frame(Opcode.BINARY, b"x" * 1001), 1009),
        (frame(Opcode.CLOSE, b"\x03\xe8"), 1000),
        (frame(Opcode.CLOSE, b"\x0f\xa0"), 4000),
    ],
    ids=["unmasked", "reserved", "control", "continuation", "bytes", "cut", "large", "normal", "own"],
)
async def test_the_end_has_a_code_and_closes_the_connection(
    serve: Serve, connect: Connect, lines: list[dict[str, object]], sent: bytes, code: int
) -> None:
    peer = Noting()
    edge = await serve({"/": peer.websocket}, websocket_message_bytes=1000)
    client = await upgraded(await connect(edge))
    client.send(sent + frame(Opcode.TEXT, b"behind"))
    assert await close_code(client) == code
    await client.close()
    await eventually(lambda: edge.open == 0)
    assert peer.calls == ["opened", "closed"]
    assert peer.messages == []
    assert [line for line in lines if line["log_level"] not in ("info", "debug")] == []


async def test_a_client_that_goes_on_sending_still_reads_why_it_was_closed(serve: Serve, connect: Connect) -> None:
    client = await upgraded(await connect(await serve({"/": echo}, close_seconds=30.0)))
    client.send(b"\x83" + b"x" * 8_000_000)
    await client.writer.drain()
    assert await close_code(client) == 1002


async def test_an_empty_close_is_echoed_empty(serve: Serve, connect: Connect) -> None:
    client = await upgraded(await connect(await serve({"/": echo})))
    client.send(frame(Opcode.CLOSE))
    assert await client.rest() == b"\x88\x00"


async def test_a_client_that_does_not_hang_up_after_its_close_is_cut(serve: Serve, connect: Connect) -> None:
    edge = await serve({"/": echo}, close_seconds=0.2)
    client = await upgraded(await connect(edge))
    client.send(frame(Opcode.CLOSE, b"\x03\xe8"))
    await eventually(lambda: edge.open == 0)


async def test_the_node_closes_with_its_code_and_reason(serve: Serve) -> None:
    peer = Noting()
    edge = await serve({"/": peer.websocket})
    async with dial(edge) as client:
        peer.sink.send(b"\x81\x04last", [6])
        peer.sink.close(4000, "slow")
        assert peer.sink.send(b"\x81\x01x", [3]) == 0
        assert await client.recv() == "last"
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert (client.close_code, client.close_reason) == (4000, "slow")
    await eventually(lambda: edge.open == 0)
    assert peer.calls == ["opened", "closed"]


async def test_nothing_is_received_after_the_node_has_closed(serve: Serve, connect: Connect) -> None:
    peer = Noting()
    client = await upgraded(await connect(await serve({"/": peer.websocket})))
    await peer.ready.wait()
    peer.sink.close(1000, "")
    client.send(frame(Opcode.TEXT, b"late") + frame(Opcode.CLOSE, b"\x03\xe8"))
    assert await close_code(client) == 1000
    assert peer.messages == []


async def test_a_client_that_ignores_our_close_is_cut(serve: Serve, connect: Connect) -> None:
    peer = Noting()
    edge = await serve({"/": peer.websocket}, close_seconds=0.2)
    client = await upgraded(await connect(edge))
    peer.sink.close(1000, "")
    client.send(frame(Opcode.TEXT, b"chatter"))
    await eventually(lambda: edge.open == 0)
    assert peer.messages == []


async def test_a_silent_client_is_pinged_and_closed_when_it_stays_silent(
    serve: Serve, connect: Connect, lines: list[dict[str, object]]
) -> None:
    peer = Noting()
    edge = await serve({"/": peer.websocket}, keepalive_seconds=0.1, keepalive_misses=2, close_seconds=0.2)
    client = await upgraded(await connect(edge))
    data = await client.rest()
    assert data.startswith(b"\x89\x00\x89\x00\x88")
    assert struct.unpack("!H", data[6:8]) == (4001,)
    await eventually(lambda: edge.open == 0)
    assert peer.calls == ["opened", "closed"]
    assert [line["event"] for line in lines if line["event"] == "websocket_silent"] == ["websocket_silent"]


async def test_a_client_that_answers_pings_stays(serve: Serve) -> None:
    peer = Noting()
    edge = await serve({"/": peer.websocket}, keepalive_seconds=0.1, keepalive_misses=2)
    async with dial(edge, ping_interval=None) as client:
        await asyncio.sleep(1.0)
        peer.sink.send(b"\x81\x05alive", [7])
        assert await client.recv() == "alive"


async def test_a_client_that_asks_and_does_not_read_is_not_read_either(serve: Serve, connect: Connect) -> None:
    edge = await serve({"/": echo}, send_buffer=8192, reply_bytes=10_000)
    client = await upgraded(await connect(edge, 8192))
    client.hold()
    question = frame(Opcode.BINARY, b"x" * 60_000)
    for _ in range(120):
        client.send(question)
    waiting = client.writer.transport.get_write_buffer_size
    before = -1
    while before != waiting():
        before = waiting()
        await asyncio.sleep(0.1)
    assert waiting() > 500_000
    client.resume()
    async with asyncio.timeout(20):
        data = await client.reader.readexactly(120 * 60_004)
    assert data == (b"\x82\x7e" + struct.pack("!H", 60_000) + b"x" * 60_000) * 120


async def test_a_peer_that_has_enough_is_sent_no_more_until_it_asks(serve: Serve, connect: Connect) -> None:
    peer = Noting(lambda sink, _: sink.hold(True))
    client = await upgraded(await connect(await serve({"/": peer.websocket})))
    client.send(frame(Opcode.TEXT, b"1"))
    await eventually(lambda: peer.messages == ["1"])
    client.send(frame(Opcode.TEXT, b"2") + frame(Opcode.PING, b"?"))
    await asyncio.sleep(0.2)
    assert peer.messages == ["1"]
    peer.sink.hold(False)
    await eventually(lambda: peer.messages == ["1", "2"])
    assert await client.reader.readexactly(3) == b"\x8a\x01?"


async def test_a_client_whose_input_is_held_is_not_taken_for_silent(serve: Serve, connect: Connect) -> None:
    peer = Noting(lambda sink, _: sink.hold(True))
    edge = await serve({"/": peer.websocket}, keepalive_seconds=0.1, keepalive_misses=2, close_seconds=0.2)
    client = await upgraded(await connect(edge))
    client.send(frame(Opcode.TEXT, b"1"))
    assert await client.reader.readexactly(10) == b"\x89\x00" * 5, "pings, and no Close"


async def test_a_client_whose_input_is_held_can_answer_the_close(serve: Serve, connect: Connect) -> None:
    peer = Noting(lambda sink, _: sink.hold(True))
    edge = await serve({"/": peer.websocket}, close_seconds=30.0)
    client = await upgraded(await connect(edge))
    client.send(frame(Opcode.TEXT, b"1"))
    await eventually(lambda: peer.messages == ["1"])
    peer.sink.close(1000, "")
    client.send(frame(Opcode.CLOSE, b"\x03\xe8"))
    assert await close_code(client) == 1000
    client.writer.close()
    await eventually(lambda: edge.open == 0)


async def test_a_peer_that_fails_on_a_message_closes_with_1011(serve: Serve, lines: list[dict[str, object]]) -> None:
    def fail(sink: object, message: str | bytes) -> None:
        raise ZeroDivisionError

    edge = await serve({"/": Noting(fail).websocket})
    async with dial(edge) as client:
        await client.send("boom")
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1011
        assert "boom" not in (client.close_reason or "")
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["peer_failed"]


async def test_a_client_that_sends_faster_than_it_may_is_closed_and_told_why(serve: Serve, connect: Connect) -> None:
    peer = Noting()
    limit = {"requests_per_second": 0.01, "requests_burst": 3}  # the handshake is one of them
    edge = await serve(
        {"/": peer.websocket},
        trusted_proxies=EdgeSettings.trusted_proxies.read("127.0.0.1"),
        close_seconds=0.2,
        **limit,
    )
    client = await connect(edge)
    client.send(get("/", *HANDSHAKE, "X-Forwarded-For: 203.0.113.9") + frame(Opcode.TEXT, b"1"))
    assert (await client.answer()).status == 101
    client.send(frame(Opcode.TEXT, b"2") + frame(Opcode.TEXT, b"3") + frame(Opcode.TEXT, b"4"))
    assert await close_code(client) == 4002
    assert peer.messages == ["1", "2"]
