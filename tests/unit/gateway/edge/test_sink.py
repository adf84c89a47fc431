"""Writing beside the transport: nothing lost, doubled or reordered, no frame inside another, and room is announced."""

import asyncio
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.asyncio.client import connect as websocket

from gateway.edge.connections import Connections
from gateway.edge.request import Answer, Request, Sink, Stream
from gateway.edge.settings import EdgeSettings
from gateway.edge.stream import StreamSink
from tests.unit.gateway.edge.client import HANDSHAKE, Client, get
from tests.unit.gateway.edge.conftest import Connect, Serve, eventually
from tests.unit.gateway.edge.peer import Counting, Noting, line, message

SMALL = 2048


@pytest.mark.parametrize(("size", "batch"), [(10, 64), (900, 64), (900, 1), (50_000, 3), (100_000, 2)])
async def test_every_byte_arrives_once_and_in_order(serve: Serve, connect: Connect, size: int, batch: int) -> None:
    total = min(60_000, 2_000_000 // size)
    peer = Counting(total, size, batch, line)
    client = await connect(await serve({"/": peer.stream}, send_buffer=SMALL))
    client.send(get())
    await client.until(b"\r\n\r\n")
    for number in range(total):
        async with asyncio.timeout(10):
            data = await client.reader.readexactly(size + 1)
        assert data == line(number, size)
    assert peer.short > 0
    assert peer.calls.count("drained") == peer.short


async def test_a_socket_with_room_takes_everything_and_drained_is_not_called(serve: Serve, connect: Connect) -> None:
    peer = Counting(100, 10, 64, line)
    client = await connect(await serve({"/": peer.stream}))
    client.send(get())
    await client.until(line(99, 10))
    assert peer.calls == ["opened"]


async def test_control_frames_lie_between_messages_also_when_the_socket_is_full(serve: Serve) -> None:
    peer = Counting(400, 20_000, 8, message)
    edge = await serve({"/": peer.websocket}, send_buffer=SMALL)
    async with websocket(f"ws://127.0.0.1:{edge.port}/", max_queue=1) as client:
        pongs = []
        for number in range(400):
            if number % 20 == 0:
                pongs.append(await client.ping(f"ping {number}"))
            async with asyncio.timeout(10):
                assert await client.recv() == str(number).ljust(20_000, ".")
        await asyncio.wait_for(asyncio.gather(*pongs), 10)
    assert peer.short > 0


async def test_a_full_connection_takes_nothing_more(serve: Serve, connect: Connect) -> None:
    peer = Noting()
    client = await connect(await serve({"/": peer.stream}, send_buffer=SMALL), SMALL)
    client.hold()
    client.send(get())
    await peer.ready.wait()
    big = line(0, 400_000)
    assert peer.sink.send(big + big, [len(big), 2 * len(big)]) == 1
    assert peer.sink.send(big, [len(big)]) == 0
    client.resume()
    await client.until(b"\r\n\r\n")
    async with asyncio.timeout(20):
        assert await client.reader.readexactly(len(big)) == big
    await eventually(lambda: peer.calls == ["opened", "drained"])


async def test_who_asks_for_room_is_told_when_there_is_some(serve: Serve, connect: Connect) -> None:
    peer = Noting()
    client = await connect(await serve({"/": peer.stream}, send_buffer=SMALL), SMALL)
    client.hold()
    client.send(get())
    await peer.ready.wait()
    assert peer.sink.has_room()
    big = line(0, 400_000)
    assert peer.sink.send(big, [len(big)]) == 1
    assert not peer.sink.has_room()
    peer.sink.hold(True)  # nothing is taken from the client of a stream anyhow
    client.resume()
    await client.until(b"\r\n\r\n")
    async with asyncio.timeout(20):
        assert await client.reader.readexactly(len(big)) == big
    await eventually(lambda: peer.calls == ["opened", "drained"])
    assert peer.sink.has_room()
    peer.sink.close(1000, "")
    assert not peer.sink.has_room()


async def test_a_reply_goes_out_behind_the_frame_that_was_cut(serve: Serve, connect: Connect) -> None:
    peer = Noting()
    client = await connect(await serve({"/": peer.stream}, send_buffer=SMALL), SMALL)
    client.hold()
    client.send(get())
    await peer.ready.wait()
    big = line(0, 400_000)
    assert peer.sink.send(big + big, [len(big), 2 * len(big)]) == 1
    peer.sink.reply(b"first")
    peer.sink.reply(b"second")
    client.resume()
    await client.until(b"\r\n\r\n")
    async with asyncio.timeout(20):
        assert await client.reader.readexactly(len(big) + 11) == big + b"firstsecond"


async def test_many_subscribers_keep_their_own_order_while_some_do_not_read(serve: Serve) -> None:
    peers: list[Counting] = []

    async def subscribe(request: Request) -> Answer:
        peers.append(Counting(300, 5_000, 16, line))
        return await peers[-1].stream(request)

    edge = await serve({"/": subscribe}, send_buffer=SMALL)
    clients = [await Client.connect(edge.port) for _ in range(20)]
    for client in clients:
        client.send(get())

    async def read(client: Client, pause: bool) -> None:
        await client.until(b"\r\n\r\n")
        for number in range(300):
            if pause and number % 50 == 0:
                await asyncio.sleep(0.01)
            async with asyncio.timeout(20):
                assert await client.reader.readexactly(5_001) == line(number, 5_000)

    await asyncio.gather(*(read(client, bool(at % 2)) for at, client in enumerate(clients)))
    assert any(peer.short for peer in peers)
    for client in clients:
        await client.close()


async def test_a_client_that_takes_nothing_is_cut_off(serve: Serve, lines: list[dict[str, object]]) -> None:
    peer = Counting(1000, 100_000, 4, message)
    edge = await serve({"/": peer.websocket}, send_buffer=SMALL, slow_seconds=0.3, close_seconds=0.2)
    client = await Client.connect(edge.port)
    client.hold()
    client.send(get("/", *HANDSHAKE))
    await eventually(lambda: "closed" in peer.calls)
    assert peer.sink.send(b"x", [1]) == 0
    await eventually(lambda: edge.open == 0)
    assert [line["event"] for line in lines].count("connection_slow") == 1
    await client.close()


async def test_a_client_that_reads_slowly_is_not(serve: Serve, connect: Connect) -> None:
    peer = Counting(60, 20_000, 4, line)
    client = await connect(await serve({"/": peer.stream}, send_buffer=SMALL, slow_seconds=0.4))
    client.hold()
    client.send(get())
    await eventually(lambda: peer.short)
    for _ in range(20):
        # Less than the slow limit between two reads, much more in all.
        await asyncio.sleep(0.05)
        client.resume()
        await asyncio.sleep(0.001)
        client.hold()
    assert "closed" not in peer.calls


class Narrow(asyncio.Transport):
    """A transport and its socket, which takes what `capacities` say, write by write; at 0 nothing until it drains."""

    def __init__(self, capacities: list[int]) -> None:
        super().__init__()
        self.capacities = capacities
        self.arrived = b""
        self.buffer = b""
        self.calls = 0
        self.sink: StreamSink

    def take(self, descriptor: int, data: bytes) -> int:
        self.calls += 1
        assert self.calls < 1000  # a full socket is not asked again and again
        if self.capacities[:1] == [0]:
            raise BlockingIOError
        room = self.capacities.pop(0) if self.capacities else len(data)
        self.arrived += data[:room]
        return min(room, len(data))

    def write(self, data: bytes) -> None:  # type: ignore[override]
        if data and not self.buffer:
            with suppress(BlockingIOError):
                data = data[self.take(0, data) :]
        if data:
            was, self.buffer = self.buffer, self.buffer + data
            if not was:
                self.sink.pause_writing()

    def drain(self) -> None:
        self.capacities = self.capacities[1:] if self.capacities[:1] == [0] else self.capacities
        self.arrived += self.buffer
        self.buffer = b""
        self.sink.resume_writing()

    def get_write_buffer_size(self) -> int:
        return len(self.buffer)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self if name == "socket" else None

    def fileno(self) -> int:
        return 0


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=8),
    capacities=st.lists(st.integers(0, 12), max_size=12),
    reply=st.booleans(),
)
@example(sizes=[3, 3, 3], capacities=[3, 0], reply=False)  # full exactly between two frames
def test_wherever_the_socket_stops_whole_frames_arrive_in_order(
    sizes: list[int], capacities: list[int], reply: bool
) -> None:
    frames = [bytes([65 + at]) * size for at, size in enumerate(sizes)]
    transport, peer = Narrow(capacities), Noting()
    connections = Connections(EdgeSettings(), asyncio.new_event_loop())
    connections.loop.close()
    sink = transport.sink = StreamSink(transport, connections, None, Stream(peer=peer, headers={}, keepalive=b""))
    taken = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.edge.sink.os.write", transport.take)
        while taken < len(frames):
            left = frames[taken:]
            ends = [sum(map(len, left[: at + 1])) for at in range(len(left))]
            count = sink.send(b"".join(left), ends)
            taken += count
            assert (transport.arrived + transport.buffer).replace(b"!", b"") == b"".join(frames[:taken])
            if count < len(left):
                assert transport.buffer  # else nothing would ever wake it
                if reply:
                    sink.reply(b"!")
                calls = peer.calls.count("drained")
                transport.drain()
                assert peer.calls.count("drained") == calls + 1
    transport.drain()
    pieces = transport.arrived.replace(b"!", b"")
    assert pieces == b"".join(frames)
    for frame in frames:
        assert frame in transport.arrived  # no reply lies inside it


@pytest.mark.parametrize(
    "leave", [lambda client: client.reset(), lambda client: client.writer.write_eof()], ids=["reset", "end"]
)
async def test_the_peer_hears_once_that_its_client_has_gone(
    serve: Serve, connect: Connect, leave: Callable[[Client], None]
) -> None:
    peer = Noting()
    edge = await serve({"/": peer.stream})
    client = await connect(edge)
    client.send(get())
    await client.until(b"\r\n\r\n")
    leave(client)
    await eventually(lambda: edge.open == 0)
    assert peer.calls == ["opened", "closed"]
    assert peer.sink.send(b"x", [1]) == 0
    peer.sink.reply(b"x")
    peer.sink.close(1000, "")
    peer.sink.abort()
    await asyncio.sleep(0)
    assert peer.calls == ["opened", "closed"]


@pytest.mark.parametrize(
    "end", [lambda sink: sink.close(1000, "done"), lambda sink: sink.abort()], ids=["close", "abort"]
)
async def test_the_peer_is_never_called_from_inside_the_sink(
    serve: Serve, connect: Connect, end: Callable[[Sink], None]
) -> None:
    peer = Noting()
    client = await connect(await serve({"/": peer.stream}))
    client.send(get())
    await peer.ready.wait()
    end(peer.sink)
    assert peer.calls == ["opened"]
    assert peer.sink.send(b"x", [1]) == 0
    await eventually(lambda: peer.calls == ["opened", "closed"])


async def test_a_broken_connection_is_noticed_by_the_write_and_told_later(serve: Serve) -> None:
    peer = Noting()
    edge = await serve({"/": peer.stream})
    client = socket.create_connection(("127.0.0.1", edge.port))
    client.sendall(get())
    await peer.ready.wait()
    # Closed without letting the loop run, so that only the write itself can find out.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert peer.sink.send(b"x", [1]) == 0
    assert peer.calls == ["opened"]
    await eventually(lambda: peer.calls == ["opened", "closed"])
    assert edge.open == 0


async def test_a_peer_that_fails_ends_its_own_connection_only(
    serve: Serve, connect: Connect, lines: list[dict[str, object]]
) -> None:
    class Broken(Noting):
        def opened(self, sink: Sink) -> None:
            super().opened(sink)
            raise ZeroDivisionError

    broken, sound = Broken(), Noting()
    edge = await serve({"/broken": broken.stream, "/sound": sound.stream})
    first, second = await connect(edge), await connect(edge)
    first.send(get("/broken"))
    second.send(get("/sound"))
    await first.rest()
    await second.until(b"\r\n\r\n")
    sound.sink.send(b"still here", [10])
    await second.until(b"still here")
    await eventually(lambda: broken.calls == ["opened", "closed"])
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["peer_failed"]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "loopback.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


async def test_under_tls_a_connection_with_room_is_not_full(serve: Serve, certificate: Path) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    peer = Noting()
    edge = await serve({"/": peer.websocket}, tls=server)
    async with websocket(f"wss://127.0.0.1:{edge.port}/", ssl=trusting) as client:
        for number in range(5):
            data = message(number, 10)
            assert peer.sink.send(data, [len(data)]) == 1
        for number in range(5):
            assert await client.recv() == str(number).ljust(10, ".")
    assert "drained" not in peer.calls


async def test_under_tls_every_byte_arrives_once_and_in_order(serve: Serve, certificate: Path) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    peer = Counting(300, 20_000, 8, message)
    edge = await serve({"/": peer.websocket}, tls=server, send_buffer=SMALL)
    async with websocket(f"wss://127.0.0.1:{edge.port}/", ssl=trusting, max_queue=1) as client:
        for number in range(300):
            if number % 30 == 0:
                await client.ping()
            async with asyncio.timeout(10):
                assert await client.recv() == str(number).ljust(20_000, ".")
    assert peer.short > 0
    await eventually(lambda: "closed" in peer.calls)
