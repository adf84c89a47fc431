"""What goes into a cluster, each thing with an id that the harness knows: webhooks that are repeated until they are
acknowledged, and Celery tasks of every kind of end.
"""

import asyncio
import itertools
import json
import random
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from celery import Celery

from skyhooks.signature import Secret, signed_headers
from tests.faults.history import History

ANSWER_SECONDS: Final = 6.0
MOST_BEHIND: Final = 60.0
"""Seconds by which the senders may be behind and still catch up."""
BATCHES: Final = (1, 1, 5, 20)
"""Webhooks in one request."""
TASKS: Final = ("ok", "ok", "ok", "fails", "slow", "retries")


class Refused(Exception):
    """A gateway did not take a batch."""


class Senders:
    """Posts webhooks for `accounts` to gateways that it picks by chance: `rate` a second, by `count` senders.

    Each has one batch under way at a time, and repeats it, with the same ids, until some gateway has acknowledged it.
    `pad` is the most bytes that a webhook is made larger by; `name` is what all ids begin with.
    """

    def __init__(
        self,
        urls: Sequence[str],
        accounts: Sequence[str],
        secret: str,
        history: History,
        chance: random.Random,
        rate: float,
        count: int = 8,
        pad: int = 200,
        name: str = "sender",
    ) -> None:
        self._name = name
        self._urls = urls
        self._accounts = accounts
        self._secret = Secret(secret)
        self._history = history
        self._chance = chance
        self._pause = count / rate
        self._count = count
        self._pad = pad
        self._stopped = asyncio.Event()
        self.sent = 0

    async def run(self, most: int = sys.maxsize) -> None:
        """Send until `stop`, or `most` in all, and until everything that was begun has been acknowledged."""
        self._most = most
        await asyncio.gather(*(self._send_all(f"{self._name}-{number}") for number in range(self._count)))

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopped.set()

    async def _send_all(self, by: str) -> None:
        loop = asyncio.get_running_loop()
        due, connections = loop.time(), _Connections()
        for turn in itertools.count():
            size = min(self._chance.choice(BATCHES), self._most - self.sent)
            due = max(due + size * self._pause, loop.time() - MOST_BEHIND)
            if not size or await _passed(self._stopped, due - loop.time()):
                break
            account = self._chance.choice(self._accounts)
            ids = [f"{by}:{turn}:{number}" for number in range(size)]
            for one in ids:
                self._history.note("sent", id=one, channel=f"accounts/{account}", by=by)
            self.sent += size
            body = b"\n".join(self._webhook(one, account) for one in ids)
            await self._insist(connections, f"{by}:{turn}", body, ids)
        connections.close()

    def _webhook(self, name: str, account: str) -> bytes:
        data = {"webhook": name, "pad": "x" * self._chance.randrange(self._pad)}
        return json.dumps({"keys": {"account_id": account}, "id": name, "data": data}).encode()

    async def _insist(self, connections: "_Connections", name: str, body: bytes, ids: Sequence[str]) -> None:
        while True:
            headers = signed_headers([self._secret], name, int(time.time()), body)
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    answer = await connections.post(self._chance.choice(self._urls), headers, body)
                answered = [item["status"] for item in answer["items"]]
            except (OSError, TimeoutError, asyncio.IncompleteReadError, Refused):
                connections.close()
                await asyncio.sleep(self._chance.uniform(0.05, 0.3))
                continue
            for one, status in zip(ids, answered, strict=True):
                if status not in ("stored", "duplicate"):
                    raise AssertionError(f"{one} was answered {status}")
                self._history.note("acked", id=one)
            return


class _Connections:
    """Connections that are kept open, one to each gateway."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """POST a batch. Raises `Refused`, `OSError`, and `asyncio.IncompleteReadError` for a connection that ends."""
        host = urlsplit(url).netloc
        if url not in self._open:
            self._open[url] = await asyncio.open_connection(*host.split(":"))
        reader, writer = self._open[url]
        lines = {**headers, "Host": host, "Content-Type": "application/x-ndjson", "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"POST /hooks HTTP/1.1\r\n{head}\r\n".encode() + body)
        status, *rest = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        size = next(int(line.partition(":")[2]) for line in rest if line.startswith("content-length:"))
        answer = await reader.readexactly(size)
        if " 200 " not in status:
            raise Refused(status)
        found: dict[str, Any] = json.loads(answer)
        return found

    def close(self) -> None:
        for _, writer in self._open.values():
            writer.transport.abort()
        self._open.clear()


class Tasks:
    """Submits Celery tasks for `accounts`, `rate` a second, from a thread of its own."""

    def __init__(
        self, app: Celery, accounts: Sequence[str], history: History, chance: random.Random, rate: float
    ) -> None:
        self._app = app
        self._accounts = accounts
        self._history = history
        self._chance = chance
        self._rate = rate
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sent = 0
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopped.set()

    async def ended(self) -> None:
        """Wait until the last one has been submitted or given up."""
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        due = time.monotonic()
        for number in itertools.count():
            due = max(due + 1 / self._rate, time.monotonic() - 2)
            if self._stopped.wait(max(0.0, due - time.monotonic())):
                return
            task_id, account = f"task-{number}", self._chance.choice(self._accounts)
            self._note("sent", id=task_id, channel=f"accounts/{account}", by=task_id)
            try:
                self._app.send_task(
                    f"faults.{self._chance.choice(TASKS)}",
                    (number,),
                    task_id=task_id,
                    headers={"skyhooks_account": account},
                    retry=False,
                )
            except Exception:  # whatever it was: nobody knows whether the broker has it
                time.sleep(0.1)
            else:
                self._note("acked", id=task_id)
            self.sent += 1

    def _note(self, fact: str, **fields: Any) -> None:
        # The history is the loop's.
        self._loop.call_soon_threadsafe(lambda: self._history.note(fact, **fields))


async def _passed(event: asyncio.Event, seconds: float) -> bool:
    """Whether an event comes within so many seconds."""
    try:
        await asyncio.wait_for(event.wait(), max(0.0, seconds))
    except TimeoutError:
        return False
    return True


def identify(data: Any) -> dict[str, Any] | None:
    """Which thing a publication is: a webhook, the end of a task, a number of the feed; None for steps of a task."""
    if "webhook" in data:
        return {"id": data["webhook"]}
    if "number" in data:
        return {"number": data["number"]}
    return {"id": data["task_id"]} if data.get("end") else None
