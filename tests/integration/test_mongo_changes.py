"""Nodes that do not talk to each other hear of what is new from the server's change stream."""

import asyncio
import json
import sys
from contextlib import aclosing
from pathlib import Path

from skyhooks.client import Client
from skyhooks.publication import Draft
from skyhooks.store import open_async_store, open_store
from tests.conftest import Spawn
from tests.gateways import Gateway
from tests.mongod import ReplicaSet, empty, replica_set
from tests.processes import Process

NEVER = 3600
"""Seconds between two looks at the log by itself."""


def draft(number: int) -> Draft:
    return Draft(id=f"p{number}", channels=("accounts/a",), data=b"%d" % number)


async def test_an_append_by_anyone_is_told(mongodb: ReplicaSet) -> None:
    url = empty(mongodb, "changes")
    watching, other = open_async_store(url), open_store(url)
    async with aclosing(watching.changes()) as changes:  # type: ignore[type-var]
        for number in range(3):
            told = asyncio.ensure_future(anext(changes))
            while not told.done():
                # The stream may have begun after the first ones.
                await asyncio.to_thread(other.append, [draft(number), draft(number + 100)])
                number += 1000
                await asyncio.wait([told], timeout=0.2)
            await told
    await watching.close()
    other.close()


def node(url: str) -> Gateway:
    return Gateway("--store", url, "--open", "-X", "mesh=off", "-X", f"heads_seconds={NEVER}")


def tail(spawn: Spawn, gateway: Gateway) -> Process:
    argv = [sys.executable, "-P", "-m", "skyhooks.cli", "tail", "accounts/a", "--since", "0", "--url", gateway.url]
    return spawn(argv)


def test_a_result_reaches_a_node_that_nobody_tells(tmp_path: Path, spawn: Spawn) -> None:
    with replica_set(tmp_path, members=3) as running:
        here, there = node(running.url("changes")), node(running.url("changes"))
        try:
            client, shown = Client(here.url), tail(spawn, there)
            for number in range(10):
                if number == 5:
                    running.step_down()
                client.publish("accounts/a", number, f"p{number}")
                line = shown.wait_for(rf'^{{"position":.*"data":{number}}}')
                assert json.loads(line.string)["data"] == number
        finally:
            here.process.close()
            there.process.close()
