"""The number server and its client, both real: restarts, a server that sleeps, a rate that changes."""

import asyncio
import json
import signal
import sys
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.bridge import Bridge
from gateway.feeds.feed import FeedError, Item
from gateway.feeds.numbers import NumberFeed
from gateway.unlogged import Unlogged
from skyhooks.publication import Position
from tests.conftest import Spawn
from tests.processes import eventually
from tests.servers.numbers import HOST, Numbers, serve
from tests.unit.gateway.stores import until

CONFIGURATION = """
engine = "gevent"

from workers.numbers.server import NumberServer
from workers.numbers.settings import NumberSettings as settings

numbers_listen = "127.0.0.1:0"
rate_per_minute = 1


def service(settings):
    return NumberServer(settings)
"""


async def take(feed: NumberFeed, cursor: str, count: int) -> list[Item]:
    found = []
    async with aclosing(feed.items(cursor)) as items:  # type: ignore[type-var]
        async for item in items:
            found.append(item)
            if len(found) == count:
                break
    return found


async def test_a_client_goes_on_from_its_cursor(spawn: Spawn) -> None:
    server = serve(spawn)
    feed = NumberFeed(HOST, server.port)
    first = await take(feed, "", 5)
    await until(lambda: server.status()["number"] > json.loads(first[-1].data)["number"] + 5)
    again = await take(feed, first[-1].cursor, 20)
    seen = [json.loads(item.data)["number"] for item in first + again]
    assert seen == list(range(seen[0], seen[0] + 25))
    await until(lambda: server.status()["clients"] == 0)
    assert server.status()["served"] == 2


class Listening:
    """A bridge without a log to a number server, and the numbers that came over it."""

    def __init__(self, port: int, silence: float = 5.0) -> None:
        self.numbers: list[int] = []
        unlogged = Unlogged(self._publish)
        self.bridge = Bridge("numbers", NumberFeed(HOST, port, silence), unlogged.append, unlogged.head)
        self.task = asyncio.create_task(self.bridge.lead(1))

    def _publish(self, channel: str, publication_id: str, data: bytes) -> Position:
        self.numbers.append(json.loads(data)["number"])
        return Position("", len(self.numbers))

    async def more(self) -> None:
        seen = len(self.numbers)
        await until(lambda: len(self.numbers) > seen + 5, 30)

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_a_server_that_starts_anew_begins_visibly_at_one(spawn: Spawn) -> None:
    server = serve(spawn, 6000)
    listening = Listening(server.port)
    await listening.more()
    server.process.close()
    last = listening.numbers[-1]
    again = await asyncio.to_thread(serve, spawn, 6000, port=server.port)
    await listening.more()
    await listening.close()
    fell = [(before, after) for before, after in pairwise(listening.numbers) if after != before + 1]
    assert fell == [(last, 1)]
    assert again.status()["served"] == 1


async def test_a_server_that_hangs_is_left_and_found_again_without_a_loss(spawn: Spawn) -> None:
    server = serve(spawn, 1200)
    listening = Listening(server.port, silence=1.5)
    await listening.more()
    server.process.signal(signal.SIGSTOP)
    # Its system still accepts the connection; that one too is given up, again and again, until it wakes.
    with pytest.raises(FeedError, match="completed no line"):
        await take(NumberFeed(HOST, server.port, silence=1.5), "", 1)
    server.process.signal(signal.SIGCONT)
    await listening.more()
    assert all(after == before + 1 for before, after in pairwise(listening.numbers)), listening.numbers
    await until(lambda: server.status()["clients"] == 1, 30)
    await listening.close()


def test_a_new_rate_holds_at_once_and_makes_up_for_nothing(spawn: Spawn, tmp_path: Path) -> None:
    conf = tmp_path / "n.conf.py"
    conf.write_text(CONFIGURATION)
    argv = [sys.executable, "-P", "-m", "skyhooks.cli", "run", str(conf)]
    server = Numbers(spawn(argv, {"XDG_STATE_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}))
    with server.connect() as client:
        client.sendall(b"after -\n")
        for _ in range(3):
            assert client.recv(1) == b"\n"
        conf.write_text(CONFIGURATION.replace("rate_per_minute = 1", "rate_per_minute = 6000"))
        server.process.signal(signal.SIGHUP)
        while (came := client.recv(1 << 16)) == b"\n":
            pass
        # The pause of the old rate would hold three hundred numbers of the new one.
        assert came.count(b"\n") < 50
        server.process.wait_for("reloaded.*changed rate_per_minute")
        eventually(lambda: server.status()["number"] > 100)
        assert (server.status()["rate_per_minute"], server.status()["clients"]) == (6000.0, 1)
    server.process.signal(signal.SIGTERM)
    assert server.process.wait() == 0
    assert "Traceback" not in server.process.output
