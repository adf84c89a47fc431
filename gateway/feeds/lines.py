"""A file that grows, line by line: JSON as it is, any other text as a JSON string.

A line counts once it has its line break. A file that was moved away is read to its end, then the new one of its name
from the start; one that was emptied is read from the start again.

The cursor is ``INODE.ROUND-OFFSET.TRACE``: which file, how often a file has begun anew before, the bytes that have been
read, and a checksum of the last ones. Inodes and offsets come again, with other lines; these two tell them apart.
"""

import asyncio
import os
import re
import stat
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import msgspec
import structlog

from gateway.feeds.feed import FeedError, Item
from skyhooks.errors import Refused
from skyhooks.webhook import compact

log = structlog.get_logger()

PAUSE: Final = 0.2
"""Seconds between two looks at a file that does not grow."""
MOST_LINE: Final = 256 * 1024
"""Bytes of a line, its line break included; a longer one is left out, and the log says so."""
TRACED: Final = 64
"""Bytes that the checksum is of, at most."""

_LINE = re.compile(rb"[^\n]*\n|[^\n]+")
_CURSOR = re.compile(r"([0-9]{1,20})\.([0-9]{1,9})-([0-9]{1,18})\.([0-9]{1,10})\Z")


class Place(msgspec.Struct, frozen=True):
    """A cursor's parts."""

    inode: int
    round: int
    offset: int
    trace: int

    def __str__(self) -> str:
        return f"{self.inode}.{self.round}-{self.offset}.{self.trace}"

    @classmethod
    def parse(cls, cursor: str) -> Self | None:
        """Read a cursor; None for what is none of such a feed."""
        match = _CURSOR.match(cursor)
        return cls(*map(int, match.groups())) if match else None


class Reading:
    """An open file and how far it has been read."""

    def __init__(self, path: Path) -> None:
        # Not waiting: opening a pipe would, for its writer.
        self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        found = os.fstat(self._file)
        if not stat.S_ISREG(found.st_mode):
            self.close()
            raise FeedError(f"{path} is no regular file")
        self.place = Place(found.st_ino, 0, 0, 0)
        self._path = path
        self._too_long = False

    def close(self) -> None:
        """Give the file up."""
        os.close(self._file)

    def begin(self, offset: int = 0, rounds: int = 0) -> None:
        """Go on from `offset`."""
        self.place = Place(self.place.inode, rounds, offset, self._trace(offset))
        self._too_long = False

    def begin_at_end(self) -> None:
        """Leave out every line that is complete by now."""
        size = os.fstat(self._file).st_size
        before = os.pread(self._file, min(size, MOST_LINE), max(0, size - MOST_LINE))
        self.begin(size - (len(before) - before.rfind(b"\n") - 1))

    def holds(self, place: Place) -> bool:
        """Whether this is the file that `place` is in, with what was read there."""
        if self.place.inode != place.inode or os.fstat(self._file).st_size < place.offset:
            return False
        return self._trace(place.offset) == place.trace

    def items(self) -> Iterator[Item] | None:
        """Some of the lines that follow; None when there is nothing new that is complete."""
        chunk = os.pread(self._file, MOST_LINE, self.place.offset)
        whole = chunk[: chunk.rfind(b"\n") + 1]
        if not whole and len(chunk) == MOST_LINE:
            if not self._too_long:
                log.warning("line_too_long", path=str(self._path), offset=self.place.offset, most=MOST_LINE)
            self._move(len(chunk))
            self._too_long = True
            return iter(())
        return self._lines(whole) if whole else None

    def rest(self) -> Iterator[Item]:
        """The last line, which lacks its line break and will not get one."""
        return self._lines(os.pread(self._file, MOST_LINE, self.place.offset))

    def _lines(self, text: bytes) -> Iterator[Item]:
        for line in _LINE.findall(text):
            self._move(len(line))
            if self._too_long:
                self._too_long = False
            elif line.strip():
                yield Item(_data(line), str(self.place))

    def _move(self, count: int) -> None:
        offset = self.place.offset + count
        self.place = Place(self.place.inode, self.place.round, offset, self._trace(offset))

    def _trace(self, offset: int) -> int:
        count = min(TRACED, offset)
        return zlib.crc32(os.pread(self._file, count, offset - count))


class LineFeed:
    """The lines of the file at `path`, which may come into being later."""

    def __init__(self, path: str, pause: float = PAUSE) -> None:
        self._path = Path(path)
        self._pause = pause

    async def items(self, cursor: str) -> AsyncIterator[Item]:
        """The lines after `cursor`; without one of a file, those that come from now on.

        Raises `FeedError` for what is no regular file, `OSError` for what cannot be read.
        """
        reading = await self._resume(Place.parse(cursor))
        try:
            while True:
                if not reading.holds(reading.place):
                    reading.begin(rounds=reading.place.round + 1)
                if (items := reading.items()) is not None:
                    for item in items:
                        yield item
                    # A long file must not keep everything else waiting.
                    await asyncio.sleep(0)
                elif self._was_replaced(reading):
                    # A writer may have it open for another moment.
                    await asyncio.sleep(self._pause)
                    while (items := reading.items()) is not None:
                        for item in items:
                            yield item
                    for item in reading.rest():
                        yield item
                    following = await self._open()
                    following.begin(rounds=reading.place.round + 1)
                    reading.close()
                    reading = following
                else:
                    await asyncio.sleep(self._pause)
        finally:
            reading.close()

    async def _resume(self, place: Place | None) -> Reading:
        if place is not None and (path := self._find(place.inode)) is not None:
            reading = Reading(path)
            if reading.holds(place):
                reading.begin(place.offset, place.round)
                return reading
            reading.close()
        was_there = self._path.exists()
        reading = await self._open()
        if place is not None:
            reading.begin(rounds=place.round + 1)
        elif was_there:
            reading.begin_at_end()
        return reading

    def _find(self, inode: int) -> Path | None:
        """The file with this inode: of the same name, or of a longer one that it has been moved to."""
        with suppress(FileNotFoundError), os.scandir(self._path.parent) as entries:
            for entry in entries:
                if entry.name.startswith(self._path.name) and entry.inode() == inode and entry.is_file():
                    return Path(entry.path)
        return None

    async def _open(self) -> Reading:
        while True:
            try:
                return Reading(self._path)
            except FileNotFoundError:
                await asyncio.sleep(self._pause)

    def _was_replaced(self, reading: Reading) -> bool:
        try:
            return self._path.stat().st_ino != reading.place.inode
        except FileNotFoundError:
            return False


def _data(line: bytes) -> bytes:
    try:
        return compact(line)
    except Refused:
        return msgspec.json.encode(line.decode("utf-8", "replace").rstrip("\r\n"))
