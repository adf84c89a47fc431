"""The number feed: a client of the number server (`workers.numbers`), on the event loop.

The client sends one line, ``after CURSOR`` (``after -``: from now on), and gets a line ``CURSOR NUMBER`` for each
number that follows, and an empty line now and then. A cursor is the server's epoch, a hyphen and the number.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Final

from gateway.feeds.feed import FeedError, Item
from skyhooks.errors import shown

SILENCE_SECONDS: Final = 5.0
"""For how long a server may say nothing at all; it has a heartbeat each second."""
CONNECT_SECONDS: Final = 5.0
MOST_LINE: Final = 200
"""Bytes of a line."""

_CURSOR = re.compile(r"[0-9a-z]{1,32}-[0-9]{1,18}\Z")
_LINE = re.compile(rb"([0-9a-z]{1,32}-([0-9]{1,18})) ([0-9]{1,18})\n\Z")


class NumberFeed:
    """The numbers of the server at `host` and `port`, which is connected to while somebody listens.

    A server that completes no line within `silence` seconds counts as dead.
    """

    def __init__(self, host: str, port: int, silence: float = SILENCE_SECONDS) -> None:
        self._host = host
        self._port = port
        self._silence = silence

    async def items(self, cursor: str) -> AsyncIterator[Item]:
        """Numbers as ``{"number": n}``; a cursor that is none of a number server counts as none.

        Raises `FeedError` for what is no number server, or one that hangs or refuses, `OSError` for one that is not
        there.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(self._host, self._port, limit=MOST_LINE)
        except TimeoutError:
            raise FeedError(f"{self._host}:{self._port} does not answer") from None
        try:
            writer.write(f"after {cursor if _CURSOR.match(cursor) else '-'}\n".encode())
            while (line := await self._line(reader)) is not None:
                if line != b"\n":
                    yield _item(line)
        finally:
            writer.close()

    async def _line(self, reader: asyncio.StreamReader) -> bytes | None:
        """The next line, None at the end."""
        try:
            async with asyncio.timeout(self._silence):
                return await reader.readuntil(b"\n")
        except TimeoutError:
            raise FeedError(f"the number server has completed no line for {self._silence:g} s") from None
        except asyncio.LimitOverrunError:
            raise FeedError(f"expected lines of at most {MOST_LINE} bytes from the number server") from None
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise FeedError(f"the number server stopped in the middle of {shown(error.partial)}") from None
            return None


def _item(line: bytes) -> Item:
    match = _LINE.match(line)
    if match is not None and int(match[2]) == int(match[3]):
        return Item(b'{"number":%d}' % int(match[3]), match[1].decode())
    said = line.decode("utf-8", "replace").strip()
    if said.startswith("error "):
        raise FeedError(f"the number server refuses: {shown(said.removeprefix('error '))}")
    raise FeedError(f"expected a line such as `7x-3 3` from the number server, got {shown(said)}")
