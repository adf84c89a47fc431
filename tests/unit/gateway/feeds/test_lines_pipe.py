"""A path that is a pipe, whose opening would hold up the whole loop."""

import asyncio
import os
from pathlib import Path

import pytest

from gateway.feeds.feed import FeedError
from gateway.feeds.lines import LineFeed


async def test_a_pipe_is_said_to_be_no_file_and_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "it.log"
    os.mkfifo(path)
    asking = asyncio.create_task(asyncio.to_thread(asyncio.run, first(path)))
    try:
        with pytest.raises(FeedError, match=r"it\.log is no regular file"):
            await asyncio.wait_for(asyncio.shield(asking), 10)
    finally:
        # Whoever waits for a writer is let go, or this process would not end.
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        await asyncio.gather(asking, return_exceptions=True)


async def first(path: Path) -> None:
    await anext(aiter(LineFeed(str(path), 0.01).items("")))
