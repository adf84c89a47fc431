"""A whole node in the test's own loop, and a plain way to talk to it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import requests

from gateway.node import Node
from gateway.settings import NodeSettings


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Node]:
    node = Node(NodeSettings(**{"listen": "127.0.0.1:0", "store": "memory://", "open": True, **settings}))
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


async def call(node: Node, method: str, path: str, **options: Any) -> requests.Response:
    return await asyncio.to_thread(requests.request, method, node.url + path, timeout=10, **options)


class Lines:
    """A newline stream or event stream, read line by line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.head = b""
        self.content = b""

    async def line(self) -> str:
        async with asyncio.timeout(10):
            while b"\n" not in self.content:
                self.content += await self._chunk()
            line, _, self.content = self.content.partition(b"\n")
            return line.decode()

    async def _chunk(self) -> bytes:
        """The content of the next chunk (RFC 9112 section 7.1)."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        assert size, "the stream has ended"
        chunk = await self.reader.readexactly(size + 2)
        return chunk[:-2]

    async def json(self) -> dict[str, Any]:
        """The next line that is not a keepalive."""
        while not (line := await self.line()):
            pass
        return json.loads(line)

    async def event(self) -> dict[str, str]:
        """The next server-sent event, field by field."""
        fields: dict[str, str] = {}
        while line := await self.line():
            name, _, value = line.partition(": ")
            fields[name] = value
        return fields


@asynccontextmanager
async def stream(node: Node, path: str, **headers: str) -> AsyncIterator[Lines]:
    reader, writer = await asyncio.open_connection(node.host, node.port)
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {node.host}\r\n{''.join(lines)}\r\n".encode())
    result = Lines(reader, writer)
    result.head = await reader.readuntil(b"\r\n\r\n")
    assert result.head.startswith(b"HTTP/1.1 200 "), result.head + await reader.read(1000)
    try:
        yield result
    finally:
        writer.close()
