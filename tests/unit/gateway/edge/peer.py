"""A peer for the tests: notes what it is told, and writes numbered frames through its sink."""

import asyncio
from collections.abc import Callable

from gateway.edge.messages import encode_message
from gateway.edge.request import Answer, Request, Sink, Stream, WebSocket


class Noting:
    """Notes every call; `on_received` is called with each message."""

    def __init__(self, on_received: Callable[[Sink, str | bytes], None] | None = None) -> None:
        self.sink: Sink
        self.calls: list[str] = []
        self.messages: list[str | bytes] = []
        self.ready = asyncio.Event()
        self._on_received = on_received

    def opened(self, sink: Sink) -> None:
        self.sink = sink
        self.calls.append("opened")
        self.ready.set()

    def drained(self) -> None:
        self.calls.append("drained")

    def received(self, message: str | bytes) -> None:
        self.messages.append(message)
        if self._on_received is not None:
            self._on_received(self.sink, message)

    def closed(self) -> None:
        self.calls.append("closed")

    async def websocket(self, request: Request) -> Answer:
        """The handler that gives this peer a WebSocket."""
        return WebSocket(peer=self)

    async def stream(self, request: Request) -> Answer:
        """The handler that gives this peer a stream."""
        return Stream(peer=self, headers={"Content-Type": "text/plain", "Cache-Control": "no-store"}, keepalive=b"\n")


class Counting(Noting):
    """A subscriber that has `total` frames to send and goes on from where the sink stopped, in chunks of `batch`."""

    def __init__(self, total: int, size: int, batch: int, frame: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self.total, self.batch, self.next = total, batch, 0
        self._frames = [frame(n, size) for n in range(total)]
        self.short = 0

    def opened(self, sink: Sink) -> None:
        super().opened(sink)
        self.push()

    def drained(self) -> None:
        super().drained()
        self.push()

    def push(self) -> None:
        while self.next < self.total:
            chunk = self._frames[self.next : self.next + self.batch]
            ends, position = [], 0
            for data in chunk:
                position += len(data)
                ends.append(position)
            taken = self.sink.send(b"".join(chunk), ends)
            self.next += taken
            if taken < len(chunk):
                self.short += 1
                return


def line(number: int, size: int) -> bytes:
    """Frame `number` of a stream: a line that says its number and is filled up to `size`."""
    return str(number).encode().ljust(size, b".") + b"\n"


def message(number: int, size: int) -> bytes:
    """The same as a WebSocket message."""
    return encode_message(str(number).ljust(size, "."))
