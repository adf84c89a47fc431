import asyncio
import gc
import socket

import pytest
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import ConnectionClosed

from gateway.edge.close import RESTART
from gateway.edge.request import Answer, Request, Response
from gateway.edge.server import Edge
from gateway.edge.settings import EdgeSettings
from tests.unit.gateway.edge.client import Client, get, post
from tests.unit.gateway.edge.conftest import Connect, Serve, eventually
from tests.unit.gateway.edge.peer import Noting


async def test_port_zero_is_a_free_one() -> None:
    edge = Edge(lambda method, path: None, None, EdgeSettings())
    await edge.start("127.0.0.1", 0)
    client = await Client.connect(edge.port)
    client.send(get())
    assert (await client.answer()).code == "not_found"
    await client.close()
    await edge.stop(5)


async def test_a_port_that_is_taken_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        await Edge(lambda method, path: None, None, EdgeSettings()).start("127.0.0.1", taken.getsockname()[1])


async def test_a_stopped_edge_does_not_listen(serve: Serve) -> None:
    edge = await serve()
    await edge.stop(5)
    with pytest.raises(ConnectionRefusedError):
        await Client.connect(edge.port)


async def test_stopping_twice_or_before_the_start_does_nothing() -> None:
    edge = Edge(lambda method, path: None, None, EdgeSettings())
    await edge.stop(5)
    await edge.start("127.0.0.1", 0)
    await edge.stop(5)
    await edge.stop(5)


async def test_stopping_ends_everything_in_order(serve: Serve, connect: Connect) -> None:
    release, peers = asyncio.Event(), [Noting(), Noting()]

    async def slow(request: Request) -> Answer:
        await release.wait()
        return Response(body=b"finished")

    edge = await serve({"/slow": slow, "/stream": peers[0].stream, "/ws": peers[1].websocket}, linger_seconds=0.1)
    idle, half, busy, stream = [await connect(edge) for _ in range(4)]
    half.send(b"GET / HT")
    busy.send(get("/slow") + get("/slow"))
    stream.send(get("/stream"))
    async with websocket(f"ws://127.0.0.1:{edge.port}/ws") as client:
        await eventually(lambda: edge.open == 5 and all(peer.calls for peer in peers))
        stopping = asyncio.create_task(edge.stop(10, RESTART))
        assert await idle.rest() == await half.rest() == b""
        assert (await stream.answer()).body == b""
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1012
        assert not stopping.done()
        release.set()
        answer = await busy.answer()
        assert (answer.body, answer.headers["connection"]) == (b"finished", "close")
        assert await busy.rest() == b""
        await stopping
    assert edge.open == 0
    assert [peer.calls for peer in peers] == [["opened", "closed"]] * 2


async def test_draining_sends_subscribers_away_and_nobody_else(serve: Serve, connect: Connect) -> None:
    peers = [Noting(), Noting()]
    edge = await serve({"/stream": peers[0].stream, "/ws": peers[1].websocket})
    idle, stream = await connect(edge), await connect(edge)
    stream.send(get("/stream"))
    async with websocket(f"ws://127.0.0.1:{edge.port}/ws") as client:
        await eventually(lambda: all(peer.calls for peer in peers))

        assert await edge.drain(1, 1000) == 2

        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == RESTART.code
    assert (await stream.answer()).body == b""
    idle.send(get())
    assert (await idle.answer()).code == "not_found"


async def test_draining_takes_no_longer_than_it_may(serve: Serve, connect: Connect) -> None:
    peers = [Noting() for _ in range(3)]
    edge = await serve({f"/{number}": peer.stream for number, peer in enumerate(peers)})
    clients = [await connect(edge) for _ in peers]
    for number, client in enumerate(clients):
        client.send(get(f"/{number}"))
    await eventually(lambda: all(peer.calls for peer in peers))
    async with asyncio.timeout(10):
        assert await edge.drain(0.05, 0.001) == 3
    for client in clients:
        assert (await client.answer()).body == b""


async def test_what_outlasts_the_grace_is_cut(serve: Serve, connect: Connect, lines: list[dict[str, object]]) -> None:
    began, ended = [], []

    async def stuck(request: Request) -> Answer:
        began.append(request.method)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(request.method)
        raise AssertionError

    edge = await serve({"/": stuck})
    reader, writer = await connect(edge), await connect(edge)
    reader.send(get())
    writer.send(post("/", b"abc"))
    await eventually(lambda: len(began) == 2)
    await edge.stop(0.1)
    assert edge.open == 0
    assert await reader.rest() == await writer.rest() == b""
    assert sorted(ended) == ["GET", "POST"]
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["edge_cut"]


async def test_a_closed_connection_leaves_nothing_behind(serve: Serve) -> None:
    peer = Noting()

    async def plain(request: Request) -> Answer:
        return Response()

    edge = await serve({"/": plain, "/ws": peer.websocket, "/stream": peer.stream})
    for _ in range(3):
        client = await Client.connect(edge.port)
        client.send(get() + get("/stream"))
        await client.until(b"\r\n\r\n")
        await client.close()
        async with websocket(f"ws://127.0.0.1:{edge.port}/ws") as socket_:
            await socket_.send("x")
    await eventually(lambda: edge.open == 0)
    del peer.sink
    gc.collect()
    names = {"Connection", "StreamSink", "WebSocketSink", "MessageReader", "Parser", "Message"}
    mine = [o for o in gc.get_objects() if type(o).__name__ in names and type(o).__module__.startswith("gateway.edge")]
    assert mine == []


async def test_several_sockets_are_one_edge() -> None:
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    edge = Edge(lambda method, path: None, None, EdgeSettings())
    await edge.start("127.0.0.1", 0, socks=socks)
    clients = [await Client.connect(sock.getsockname()[1]) for sock in socks]
    for client in clients:
        client.send(get())
        assert (await client.answer()).code == "not_found"
    assert edge.open == 2
    await edge.stop(5)
    assert edge.open == 0
