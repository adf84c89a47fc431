"""Subscribers as users write them: they follow a channel, and go on from their position on another gateway."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import quote, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from tests.faults.history import History

CONNECT_SECONDS: Final = 3.0
LIMIT: Final = 1 << 20
"""Bytes of one line."""
TRANSPORTS: Final = ("websocket", "sse", "stream", "connect")


class Lost(Exception):
    """A connection that ended, was refused, or has been silent for too long."""


class Subscriber:
    """Follows `channel` from its start. `identify` tells from a publication's data which one it is.

    A connection that says nothing for `silence` seconds counts as lost.
    """

    def __init__(
        self,
        name: str,
        channel: str,
        transport: str,
        urls: Sequence[str],
        history: History,
        identify: Callable[[Any], dict[str, Any] | None],
        chance: random.Random,
        silence: float,
    ) -> None:
        self.name = name
        self.channel = channel
        self.position = "0"
        self.seen: set[str] = set()
        self.connections = 0
        self._transport = transport
        self.urls = urls
        """Where it may connect to."""
        self._history = history
        self._identify = identify
        self._chance = chance
        self._silence = silence
        self._url = ""
        self._awake = asyncio.Event()
        self._awake.set()
        self._reading: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Follow until cancelled."""
        self._history.note("joined", subscriber=self.name, channel=self.channel)
        while True:
            await self._awake.wait()
            self._reading = asyncio.create_task(self._read())
            try:
                await asyncio.wait([self._reading])
            finally:
                self._reading.cancel()
            await asyncio.sleep(self._chance.uniform(0.05, 0.4))

    def sleep(self) -> None:
        """Hang up, and stay away until `wake`."""
        self._awake.clear()
        self.hang_up()

    def wake(self) -> None:
        """Come back from `sleep`."""
        self._awake.set()

    def hang_up(self) -> None:
        """Lose the connection, as a browser does that is reloaded."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        others = [url for url in self.urls if url != self._url] or list(self.urls)
        self._url = self._chance.choice(others)
        self.connections += 1
        with suppress(Lost, OSError, TimeoutError, asyncio.IncompleteReadError, WebSocketException):
            async for message in _READERS[self._transport](self._url, self.channel, self.position, self._silence):
                self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if gap := message.get("gap"):
            self._history.note("gap", subscriber=self.name, start=gap["from"], end=gap["to"])
            self.position = gap["to"]
            return
        self.position = message["position"]
        if "data" not in message:
            return
        what = self._identify(message["data"])
        if what is not None:
            self.seen.add(what.get("id", ""))
            fields = {"subscriber": self.name, "channel": self.channel, "position": self.position}
            self._history.note("seen", **fields, **what)


@asynccontextmanager
async def _dialled(url: str, path: str, silence: float) -> AsyncIterator[ClientConnection]:
    """A WebSocket. The gateway pings; the library answers, and tells nobody, so silence is measured by our own ping."""
    target = f"ws{url.removeprefix('http')}{path}"
    limits = {"ping_interval": silence / 2, "ping_timeout": silence / 2, "close_timeout": 0.2}
    try:
        socket = await connect(target, open_timeout=CONNECT_SECONDS, **limits)
    except InvalidHandshake as error:
        raise Lost(str(error)) from error
    async with socket:
        yield socket


async def _websocket(url: str, channel: str, since: str, silence: float) -> AsyncIterator[dict[str, Any]]:
    async with _dialled(url, f"/channels/{channel}?since={quote(since)}", silence) as socket:
        async for message in socket:
            yield json.loads(message)


async def _connect(url: str, channel: str, since: str, silence: float) -> AsyncIterator[dict[str, Any]]:
    """The client protocol, with another channel on the same connection."""
    async with _dialled(url, "/connect", silence) as socket:
        await socket.send(json.dumps({"type": "subscribe", "id": 0, "channel": "announce"}))
        await socket.send(json.dumps({"type": "subscribe", "id": 1, "channel": channel, "since": since}))
        async for text in socket:
            message = json.loads(text)
            if "error" in message or "ended" in message:
                raise Lost(text)
            if message.pop("channel", "") == channel:
                yield message


async def _lines(url: str, path: str, headers: str, silence: float) -> AsyncIterator[bytes]:
    """The lines of a body that does not end."""
    host = urlsplit(url).netloc
    async with asyncio.timeout(CONNECT_SECONDS):
        reader, writer = await asyncio.open_connection(*host.split(":"), limit=LIMIT)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n{headers}\r\n".encode())
        async with asyncio.timeout(CONNECT_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise Lost(head.partition(b"\r\n")[0].decode())
        while True:
            async with asyncio.timeout(silence):
                yield await reader.readuntil(b"\n")
    finally:
        writer.transport.abort()


async def _stream(url: str, channel: str, since: str, silence: float) -> AsyncIterator[dict[str, Any]]:
    async for line in _lines(url, f"/channels/{channel}?since={quote(since)}", "", silence):
        if line.strip():
            yield json.loads(line)


async def _sse(url: str, channel: str, since: str, silence: float) -> AsyncIterator[dict[str, Any]]:
    """Read as the HTML standard says, as far as gateways use it."""
    fields: dict[str, str] = {}
    headers = f"Accept: text/event-stream\r\nLast-Event-ID: {since}\r\n"
    async for line in _lines(url, f"/channels/{channel}", headers, silence):
        name, _, value = line.decode().rstrip("\r\n").partition(":")
        if name:
            fields[name] = value.removeprefix(" ")
        elif line.strip() == b"" and "id" in fields:
            message: dict[str, Any] = {"position": fields["id"]}
            if fields.get("event") == "gap":
                message["gap"] = json.loads(fields["data"])
            elif "data" in fields:
                message["data"] = json.loads(fields["data"])
            yield message
            fields = {}
        elif line.strip() == b"":
            fields = {}


_READERS: Final[dict[str, Callable[[str, str, str, float], AsyncIterator[dict[str, Any]]]]] = {
    "websocket": _websocket,
    "sse": _sse,
    "stream": _stream,
    "connect": _connect,
}
