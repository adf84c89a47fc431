"""The client of the number server, against servers that do what a test says."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final

import pytest

from gateway.feeds.feed import FeedError, Item
from gateway.feeds.numbers import MOST_LINE, NumberFeed
from tests.processes import free_ports
from tests.unit.gateway.stores import until

HOST: Final = "127.0.0.1"
LONG: Final = 30.0
"""Seconds of silence that no test waits for."""


class Scripted:
    """A server that says to each client the next answer, then hangs up; with `hang` once the client does."""

    def __init__(self, answers: Sequence[bytes], hang: bool) -> None:
        self.asked: list[bytes] = []
        self.connected = 0
        self.port = 0
        self._answers = iter(answers)
        self._hang = hang

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        try:
            self.asked.append(await reader.readline())
            writer.write(next(self._answers))
            if self._hang:
                await reader.read()
        finally:
            self.connected -= 1
            writer.close()


@asynccontextmanager
async def scripted(*answers: bytes, hang: bool = False) -> AsyncIterator[Scripted]:
    made = Scripted(answers, hang)
    async with await asyncio.start_server(made.serve, HOST, 0) as server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


async def listen_to_repeated(text: bytes, pause: float, times: int, silence: float) -> tuple[list[Item], str]:
    """What comes of a server that says the same again and again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(times):
            writer.write(text)
            await asyncio.sleep(pause)
        writer.close()

    async with await asyncio.start_server(serve, HOST, 0) as server:
        return await listen(server.sockets[0].getsockname()[1], silence=silence)


async def listen(port: int, cursor: str = "", silence: float = LONG) -> tuple[list[Item], str]:
    """What comes until the feed ends, and the problem with which it does."""
    items: list[Item] = []
    try:
        async with asyncio.timeout(10):
            async for item in NumberFeed(HOST, port, silence).items(cursor):
                items.append(item)
    except FeedError as error:
        return items, str(error)
    return items, ""


async def test_each_number_comes_with_its_cursor_and_heartbeats_are_no_items() -> None:
    async with scripted(b"7x-3 3\n\n\n7x-4 4\n7x-5 5\n") as there:
        items, problem = await listen(there.port)
    assert items == [Item(b'{"number":%d}' % number, f"7x-{number}") for number in (3, 4, 5)]
    assert problem == ""


@pytest.mark.parametrize(
    ("cursor", "asked"),
    [
        ("", b"after -\n"),
        ("7x-3", b"after 7x-3\n"),
        ("120.0-88.1234", b"after -\n"),  # that of a file
        ("#4:17", b"after -\n"),  # one that was counted here
        ("7x-3\nstatus", b"after -\n"),
        ("x" * 300 + "-1", b"after -\n"),
    ],
)
async def test_the_cursor_is_handed_over_and_one_of_another_feed_is_not(cursor: str, asked: bytes) -> None:
    async with scripted(b"") as there:
        assert await listen(there.port, cursor) == ([], "")
    assert there.asked == [asked]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "expected a line such as"),
        (b"7x-4 5\n", "expected a line such as"),
        (b"7x-4 -4\n", "expected a line such as"),
        (b"7x-4 4 4\n", "expected a line such as"),
        (b" \n", "expected a line such as"),
        (b"\x00\xff\xfe\n", "expected a line such as"),
        (b"7x-%d %d\n" % (10**18, 10**18), "expected a line such as"),
        (b"1" * MOST_LINE + b"11\n", f"at most {MOST_LINE} bytes"),
        (b"1" * 100_000, f"at most {MOST_LINE} bytes"),
        (b"error too_many_clients there is no room\n", "refuses: 'too_many_clients there is no room'"),
        (b"7x-4 ", "in the middle of b'7x-4 '"),
    ],
)
async def test_what_is_none_of_a_number_server_is_said_after_what_was_good(said: bytes, problem: str) -> None:
    async with scripted(b"7x-3 3\n" + said) as there:
        items, told = await listen(there.port)
    assert [item.cursor for item in items] == ["7x-3"]
    assert problem in told


async def test_a_line_that_was_cut_is_no_number() -> None:
    async with scripted(b"7x-3 3\n7x-44 44") as there:
        items, problem = await listen(there.port)
    assert [item.cursor for item in items] == ["7x-3"]
    assert "in the middle" in problem


async def test_an_endless_line_is_given_up_while_it_still_comes() -> None:
    async with scripted(b"1" * (MOST_LINE + 10), hang=True) as there:
        assert f"at most {MOST_LINE} bytes" in (await listen(there.port))[1]


async def test_a_server_that_hangs_counts_as_dead() -> None:
    async with scripted(b"7x-3 3\n", hang=True) as there:
        items, problem = await listen(there.port, silence=0.1)
        assert [item.cursor for item in items] == ["7x-3"]
        assert "no line for 0.1 s" in problem
        await until(lambda: not there.connected)


async def test_a_server_that_drips_half_a_line_counts_as_dead_too() -> None:
    assert "no line for 0.2 s" in (await listen_to_repeated(b"1", 0.02, 150, silence=0.2))[1]


async def test_heartbeats_keep_a_server_alive_for_longer_than_it_may_be_silent() -> None:
    assert await listen_to_repeated(b"\n", 0.1, 15, silence=1.0) == ([], "")


async def test_nobody_who_listens_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError, match=r".+"):
        await listen(free_ports())


async def test_the_connection_ends_with_whoever_listens() -> None:
    async with scripted(b"7x-3 3\n7x-4 4\n", hang=True) as there:
        async with aclosing(NumberFeed(HOST, there.port).items("")) as items:  # type: ignore[type-var]
            async for item in items:
                assert item.cursor == "7x-3"
                break
        await until(lambda: not there.connected)


async def test_a_feed_can_be_read_again_from_where_it_was() -> None:
    async with scripted(b"7x-3 3\n", b"7x-3 3\n") as there:
        feed = NumberFeed(HOST, there.port)
        for cursor in ("", "7x-3"):
            assert [item.cursor async for item in feed.items(cursor)] == ["7x-3"]
    assert there.asked == [b"after -\n", b"after 7x-3\n"]
