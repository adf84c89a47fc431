import asyncio

from gateway.edge.request import Answer, Request, Stream
from tests.unit.gateway.edge.client import get
from tests.unit.gateway.edge.conftest import Connect, Serve, eventually
from tests.unit.gateway.edge.peer import Noting


async def test_a_stream_has_no_length_and_ends_with_its_connection(serve: Serve, connect: Connect) -> None:
    peer = Noting()
    edge = await serve({"/": peer.stream})
    client = await connect(edge)
    client.send(get())
    await peer.ready.wait()
    peer.sink.send(b"one\ntwo\n", [4, 8])
    peer.sink.close(1000, "")
    answer = await client.answer()
    assert answer.status == 200
    assert answer.body == b"one\ntwo\n"
    assert answer.headers["connection"] == "close"
    assert answer.headers["cache-control"] == "no-store"
    assert not {"content-length", "transfer-encoding"} & set(answer.headers)
    await eventually(lambda: edge.open == 0)


async def test_what_was_written_before_the_end_still_arrives(serve: Serve, connect: Connect) -> None:
    peer = Noting()
    client = await connect(await serve({"/": peer.stream}, send_buffer=2048))
    client.send(get())
    await peer.ready.wait()
    assert peer.sink.send(b"x" * 1_000_000, [1_000_000]) == 1
    peer.sink.close(1000, "")
    assert (await client.answer()).body == b"x" * 1_000_000


async def test_an_end_that_the_client_does_not_read_is_cut(serve: Serve, connect: Connect) -> None:
    peer = Noting()
    edge = await serve({"/": peer.stream}, send_buffer=2048, close_seconds=0.2)
    client = await connect(edge)
    client.hold()
    client.send(get())
    await peer.ready.wait()
    peer.sink.send(b"x" * 20_000_000, [20_000_000])
    peer.sink.close(1000, "")
    await eventually(lambda: edge.open == 0)


async def test_head_of_a_stream_is_its_head_alone(serve: Serve, connect: Connect) -> None:
    peer = Noting()
    client = await connect(await serve({"/": peer.stream}))
    client.send(get(method="HEAD"))
    assert (await client.answer("HEAD")).headers["content-type"] == "text/plain"
    assert await client.rest() == b""
    assert peer.calls == []


async def test_what_the_client_still_sends_is_dropped(serve: Serve, connect: Connect) -> None:
    peer = Noting()
    client = await connect(await serve({"/": peer.stream}))
    client.send(get() + get() + b"nonsense")
    await client.until(b"\r\n\r\n")
    client.send(b"more nonsense" * 10_000)
    await client.writer.drain()
    peer.sink.send(b"fine", [4])
    assert await client.until(b"fine") == b"fine"
    assert peer.messages == []


async def test_a_silent_stream_is_kept_alive(serve: Serve, connect: Connect) -> None:
    peer = Noting()
    client = await connect(await serve({"/": peer.stream}, keepalive_seconds=0.1))
    client.send(get())
    await client.until(b"\r\n\r\n")
    async with asyncio.timeout(10):
        assert await client.reader.readexactly(3) == b"\n\n\n"


async def test_a_busy_stream_needs_no_keepalive(serve: Serve, connect: Connect) -> None:
    peer = Noting()
    client = await connect(await serve({"/": peer.stream}, keepalive_seconds=0.5))
    client.send(get())
    await client.until(b"\r\n\r\n")
    for _ in range(40):
        peer.sink.send(b"x", [1])
        await asyncio.sleep(0.02)
    peer.sink.close(1000, "")
    assert await client.rest() == b"x" * 40


async def test_a_client_that_left_before_the_answer_opens_nothing(serve: Serve, connect: Connect) -> None:
    peer, began, release = Noting(), asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Answer:
        began.set()
        await asyncio.shield(release.wait())
        return Stream(peer=peer, headers={}, keepalive=b"\n")

    edge = await serve({"/": slow})
    client = await connect(edge)
    client.send(get("/", method="POST"))
    await began.wait()
    client.reset()
    await eventually(lambda: edge.open == 0)
    release.set()
    await edge.stop(5)
    assert peer.calls == []
