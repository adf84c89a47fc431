"""Sockets that never read, among others that do: what they cost the node, and the others.

``python -m tests.faults.slow`` measures 300 readers alone, and then with 200 that never read.
"""

import asyncio
import json
import socket
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.gateways import Gateway, running

READERS: Final = 300
SLEEPERS: Final = 200
EACH_SECOND: Final = 25
SIZE: Final = 4000
"""Bytes of a publication."""
SLOW_SECONDS: Final = 3
CHANNEL: Final = "accounts/slow"
REQUEST: Final = f"GET /channels/{CHANNEL}?since=0 HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode()


@dataclass
class Figures:
    """What a run has shown: `waits` are seconds from a publication's sending to each reader."""

    sent: int = 0
    waits: list[float] = field(default_factory=list)
    memory: int = 0
    """By how many bytes the node has grown at most."""
    evicted: int = 0
    complete: int = 0
    """Readers that have all of it, in order, once."""

    def wait(self, share: float) -> float:
        """The time within which this share of all deliveries was made."""
        ordered = sorted(self.waits)
        return ordered[int(share * (len(ordered) - 1))]

    def __str__(self) -> str:
        return (
            f"{self.complete} readers had all {self.sent} publications; median {self.wait(0.5) * 1000:.1f} ms, "
            f"p99 {self.wait(0.99) * 1000:.1f} ms; {self.evicted} evicted; memory grew by {self.memory / 1e6:.1f} MB"
        )


class Reader(asyncio.Protocol):
    """Counts the publications in a newline stream, and how long they took."""

    def __init__(self, figures: Figures) -> None:
        self.numbers: list[int] = []
        self._figures = figures
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            start = line.find(b'"number":')
            if start >= 0:
                number, sent = line[start + 9 : start + 60].split(b'"pad"')[0].rstrip(b",").split(b',"sent":')
                self.numbers.append(int(number))
                self._figures.waits.append(now - float(sent))


class Sleeper:
    """Subscribes and never reads. `evicted` once the node has cut it off."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(("127.0.0.1", port))
        self._socket.sendall(REQUEST)

    @property
    def evicted(self) -> bool:
        """Whether the connection has been reset; nothing is read to find that out."""
        return self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0 or not self._established()

    def _established(self) -> bool:
        with suppress(OSError):
            return self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == b"\x01"
        return False

    def close(self) -> None:
        self._socket.close()


async def measure(gateway: Gateway, readers: int, sleepers: int, seconds: float) -> Figures:
    """Publish for so long; then wait until every reader has it and every sleeper is gone."""
    loop, figures = asyncio.get_running_loop(), Figures()
    connected = [
        await loop.create_connection(lambda: Reader(figures), gateway.host, gateway.port) for _ in range(readers)
    ]
    asleep = [Sleeper(gateway.port) for _ in range(sleepers)]
    before = memory(gateway)
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    began = loop.time()
    while loop.time() - began < seconds:
        figures.sent += 1
        await _publish(reader, writer, figures.sent)
        figures.memory = max(figures.memory, memory(gateway) - before)
        await asyncio.sleep(max(0.0, began + figures.sent / EACH_SECOND - loop.time()))
    wanted = list(range(1, figures.sent + 1))
    deadline = loop.time() + 30
    while loop.time() < deadline:
        figures.evicted = sum(one.evicted for one in asleep)
        figures.complete = sum(one.numbers == wanted for _, one in connected)
        if (figures.evicted, figures.complete) == (sleepers, readers):
            break
        await asyncio.sleep(0.1)
    for transport, _ in connected:
        transport.abort()
    for one in asleep:
        one.close()
    writer.close()
    return figures


async def _publish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
    body = json.dumps({"number": number, "sent": time.monotonic(), "pad": "x" * SIZE}, separators=(",", ":")).encode()
    head = f"POST /channels/{CHANNEL} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in answer.split(b"\r\n")[0], answer
    size = next(
        int(line.split(b":")[1]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    await reader.readexactly(size)


def memory(gateway: Gateway) -> int:
    """Bytes of memory that the node has in use."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def main() -> None:
    for sleepers in (0, SLEEPERS):
        with tempfile.TemporaryDirectory() as folder:
            store = ("--store", f"sqlite://{folder}/s.db", "--open", "-X", f"slow_seconds={SLOW_SECONDS}")
            with running(*store) as gateway:
                figures = asyncio.run(measure(gateway, READERS, sleepers, 15.0))
        print(f"{READERS} that read, {sleepers} that never do: {figures}")


if __name__ == "__main__":
    main()
