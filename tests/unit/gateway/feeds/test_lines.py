"""A growing file as a feed: real files, written while they are read."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.feeds.feed import FeedError, Item
from gateway.feeds.lines import MOST_LINE, LineFeed
from tests.unit.gateway.stores import until

PAUSE = 0.01


class Reading:
    """What has come of a file so far."""

    def __init__(self, path: Path, cursor: str) -> None:
        self.items: list[Item] = []
        self.task = asyncio.create_task(self._read(path, cursor))

    async def _read(self, path: Path, cursor: str) -> None:
        async for item in LineFeed(str(path), PAUSE).items(cursor):
            self.items.append(item)

    @property
    def said(self) -> list[object]:
        return [json.loads(item.data) for item in self.items]

    async def says(self, *expected: object) -> None:
        """Wait until as much has come, and check that it is this."""
        await until(lambda: len(self.items) >= len(expected) or self.task.done())
        if self.task.done():
            self.task.result()
        assert self.said == list(expected)


@asynccontextmanager
async def reading(path: Path, cursor: str = "") -> AsyncIterator[Reading]:
    read = Reading(path, cursor)
    try:
        yield read
    finally:
        read.task.cancel()
        await asyncio.gather(read.task, return_exceptions=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed.jsonl"


def add(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def put(path: Path, text: str) -> None:
    """Make this everything that is in the file."""
    path.write_text(text)


def move(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))


async def of_new(path: Path, text: str | bytes) -> list[Item]:
    """The items of a file that came into being with this in it, and a last line."""
    async with reading(path) as read:
        await asyncio.sleep(0)  # its first step: it looks for the file, which is not there
        whole = text if isinstance(text, bytes) else text.encode()
        add(path.with_name("made"), whole + b'"last"\n')
        move(path.with_name("made"), path.name)
        await until(lambda: read.items and read.items[-1].data == b'"last"')
        return read.items[:-1]


@pytest.mark.parametrize(
    ("line", "data"),
    [
        (b'{"a": [1, 2]}', b'{"a":[1,2]}'),
        (b"17", b"17"),
        ('"ü"'.encode(), '"ü"'.encode()),
        (b"plain text", b'"plain text"'),
        (b"with a break of Windows\r", b'"with a break of Windows"'),
        (b'{"cut": ', b'"{\\"cut\\": "'),
        (b"\xff", '"\ufffd"'.encode()),
        (b"NaN", b'"NaN"'),
    ],
)
async def test_json_comes_as_it_is_and_other_text_as_a_string(path: Path, line: bytes, data: bytes) -> None:
    assert [item.data for item in await of_new(path, line + b"\n")] == [data]


async def test_lines_with_nothing_in_them_are_left_out(path: Path) -> None:
    assert [item.data for item in await of_new(path, "1\n\n  \n\r\n2\n")] == [b"1", b"2"]


async def test_without_a_cursor_it_begins_with_what_comes_from_now_on(path: Path) -> None:
    add(path, "1\n2\n3")
    async with reading(path) as read:
        await asyncio.sleep(0)  # its first step: it opens the file
        add(path, "3\n4\n")
        await read.says(33, 4)


async def test_a_line_counts_once_it_has_its_line_break(path: Path) -> None:
    add(path, "")
    async with reading(path) as read:
        await asyncio.sleep(0)
        add(path, "1\n[2,")
        await read.says(1)
        add(path, "3]\n")
        await read.says(1, [2, 3])


async def test_it_goes_on_behind_every_cursor(path: Path) -> None:
    items = await of_new(path, "".join(f"{number}\n" for number in range(20)))
    for number, item in enumerate(items):
        async with reading(path, item.cursor) as read:
            await read.says(*range(number + 1, 20), "last")


@pytest.mark.parametrize("cursor", ["7x-3", "#1:4", "1-2", "9" * 400])
async def test_the_cursor_of_another_feed_counts_as_none(path: Path, cursor: str) -> None:
    add(path, "1\n")
    async with reading(path, cursor) as read:
        await asyncio.sleep(0)
        add(path, "2\n")
        await read.says(2)


async def test_a_file_that_was_moved_away_is_read_to_its_end_then_the_new_one_from_its_start(path: Path) -> None:
    add(path, "")
    async with reading(path) as read:
        await asyncio.sleep(0)
        add(path, "1\n")
        await read.says(1)
        add(move(path, "feed.jsonl.1"), "2\n3")
        add(path, "4\n")
        await read.says(1, 2, 3, 4)
        add(path, "5\n")
        await read.says(1, 2, 3, 4, 5)


async def test_a_file_that_was_emptied_is_read_from_its_start_under_other_cursors(path: Path) -> None:
    add(path, "")
    async with reading(path) as read:
        await asyncio.sleep(0)
        add(path, "1\n2\n")
        await read.says(1, 2)
        put(path, "")
        add(path, "1\n")
        await read.says(1, 2, 1)
        add(path, "2\n")
        await read.says(1, 2, 1, 2)
        assert len({item.cursor for item in read.items}) == 4


async def test_a_file_that_was_emptied_and_has_outgrown_the_cursor_is_known_for_another(path: Path) -> None:
    *_, last = await of_new(path, "1\n2\n")
    put(path, "a longer line than those there were\n3\n")
    async with reading(path, last.cursor) as read:
        await read.says("a longer line than those there were", 3)


async def test_what_was_moved_away_while_nobody_read_is_found_by_its_cursor(path: Path) -> None:
    first, *_ = await of_new(path, "1\n2\n")
    move(path, "feed.jsonl.1")
    add(path, "3\n")
    async with reading(path, first.cursor) as read:
        await read.says(2, "last", 3)


async def test_the_new_file_is_read_from_its_start_when_the_old_one_is_gone(path: Path) -> None:
    first, *_ = await of_new(path, "1\n2\n")
    move(path, "elsewhere")
    add(path, "3\n4\n")
    async with reading(path, first.cursor) as read:
        await read.says(3, 4)


async def test_a_line_that_is_too_long_is_left_out_and_the_rest_comes(path: Path) -> None:
    most = b"1" * (MOST_LINE - 3)
    text = b'1\n"' + most + b'"\n2\n' + b"1" * MOST_LINE + b"\n3\n" + b"1" * (3 * MOST_LINE + 7) + b"\n4\n"
    items = await of_new(path, text)
    assert [item.data for item in items] == [b"1", b'"' + most + b'"', b"2", b"3", b"4"]


async def test_what_is_no_file_of_lines_is_said(tmp_path: Path) -> None:
    async with reading(tmp_path) as read:
        with pytest.raises(FeedError, match="no regular file"):
            await read.task
