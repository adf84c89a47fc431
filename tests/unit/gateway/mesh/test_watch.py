"""A connection that ZeroMQ has given up is noticed; one that it tries again is not."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import zmq

from gateway.mesh.socket import Context, LoopSocket, SocketOptions
from gateway.mesh.watch import Watch
from tests.unit.gateway.mesh.meshes import until


class Watched:
    """A socket that listens to others, and what was said of its connections."""

    def __init__(self) -> None:
        self.context: Context = zmq.Context()
        options = SocketOptions(max_part=100, retry_seconds=0.02, retry_most_seconds=0.1)
        self.socket = LoopSocket(self.context, zmq.PULL, lambda parts: self.got.append(parts[0]), options)
        self.got: list[bytes] = []
        self.given_up: list[str] = []
        self.watch = Watch(self.socket, 0.3, self.given_up.append)
        self.peers: list[LoopSocket] = []

    def peer(self, endpoint: str = "tcp://127.0.0.1:0") -> tuple[LoopSocket, str]:
        peer = LoopSocket(self.context, zmq.PUSH)
        self.peers.append(peer)
        return peer, peer.bind(endpoint)

    async def close(self) -> None:
        self.watch.close()
        for peer in self.peers:
            peer.close(0)
        self.socket.close(0)
        await asyncio.to_thread(self.context.term)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    watched = Watched()
    yield watched
    await watched.close()


async def test_a_part_over_the_limit_ends_a_connection_and_is_noticed(watched: Watched) -> None:
    peer, endpoint = watched.peer()
    watched.socket.connect(endpoint)
    await until(lambda: peer.send([b"1"]))
    await until(lambda: watched.got)
    peer.send([b"x" * 101])
    await until(lambda: watched.given_up)
    assert watched.given_up == [endpoint]
    watched.socket.disconnect(endpoint)
    watched.socket.connect(endpoint)
    await until(lambda: peer.send([b"2"]) and watched.got[-1] == b"2")


async def test_bytes_that_are_no_zmtp_are_noticed(watched: Watched) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"\xff" * 100)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    endpoint = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    watched.socket.connect(endpoint)
    await until(lambda: watched.given_up == [endpoint])
    server.close()
    await server.wait_closed()


async def test_a_peer_that_went_and_came_back_is_none_of_its_business(watched: Watched) -> None:
    peer, endpoint = watched.peer()
    watched.socket.connect(endpoint)
    await until(lambda: peer.send([b"1"]))
    await until(lambda: watched.got)
    peer.raw.unbind(endpoint)
    peer.close(0)
    await asyncio.sleep(0.5)
    again, _ = watched.peer(endpoint)
    await until(lambda: again.send([b"2"]) and watched.got[-1] == b"2")
    assert watched.given_up == []
