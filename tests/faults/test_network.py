"""The wires: they carry, they cut one way or both, and they know who is at the other end."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from tests.faults.network import Network

HERE = "here"


class Echo:
    """A part that says what it is told, behind a wire; and somebody connected to it."""

    def __init__(self) -> None:
        self.network = Network(lambda session: HERE if session == os.getsid(0) else "")
        self.got = b""

    async def open(self) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while piece := await reader.read(100):
                self.got += piece
                writer.write(piece)
            writer.close()

        self.server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.port = await self.network.open("echo", self.server.sockets[0].getsockname()[1])
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)

    async def hears(self, text: bytes, within: float = 5.0) -> bool:
        """Whether what was said comes back in time."""
        try:
            return await asyncio.wait_for(self.reader.readexactly(len(text)), within) == text
        except TimeoutError:
            return False

    async def close(self) -> None:
        self.writer.close()
        await self.network.close()
        self.server.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    made = Echo()
    await made.open()
    yield made
    await made.close()


async def test_a_wire_carries(echo: Echo) -> None:
    echo.writer.write(b"hello")
    assert await echo.hears(b"hello")
    assert echo.network.carried == 10


@pytest.mark.parametrize("way", [(HERE, "echo"), ("echo", HERE), ("*", "echo"), ("echo", "*")])
async def test_what_is_cut_arrives_once_it_is_healed(echo: Echo, way: tuple[str, str]) -> None:
    echo.network.cut(way)
    echo.writer.write(b"hello")
    assert not await echo.hears(b"hello", 0.2)
    assert bool(echo.got) == (way[0] == "echo"), "only this way is cut"
    echo.network.heal(way)
    assert await echo.hears(b"hello")


async def test_another_wire_is_not_cut(echo: Echo) -> None:
    echo.network.cut(("elsewhere", "echo"), (HERE, "elsewhere"))
    echo.writer.write(b"hello")
    assert await echo.hears(b"hello")


async def test_cuts_that_overlap_end_with_the_last(echo: Echo) -> None:
    way = (HERE, "echo")
    echo.network.cut(way)
    echo.network.cut(way)
    echo.network.heal(way)
    echo.writer.write(b"hello")
    assert not await echo.hears(b"hello", 0.2)
    echo.network.heal(way)
    assert await echo.hears(b"hello")


async def test_the_end_of_a_connection_is_passed_on(echo: Echo) -> None:
    echo.writer.write_eof()
    assert await asyncio.wait_for(echo.reader.read(), 5) == b""


async def test_a_part_that_is_gone_hangs_up(echo: Echo) -> None:
    echo.server.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", echo.port)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 5)
    writer.close()
