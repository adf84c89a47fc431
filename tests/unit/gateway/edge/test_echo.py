from websockets.asyncio.client import connect

from gateway.edge.echo import echo
from tests.unit.gateway.edge.conftest import Serve


async def test_text_comes_back_as_text_and_binary_as_binary(serve: Serve) -> None:
    edge = await serve({"/echo": echo})
    async with connect(f"ws://127.0.0.1:{edge.port}/echo") as socket:
        for message in ("a", "é" * 300, "", b"", b"\xff\x00" * 30_000):
            await socket.send(message)
            assert await socket.recv() == message
