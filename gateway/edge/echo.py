"""A WebSocket that sends back what it is sent, so that anyone can run a conformance suite on the edge. For debugging
only.
"""

from gateway.edge.messages import encode_message
from gateway.edge.request import Answer, Request, Sink, WebSocket


class Echo:
    """The peer of one echo connection."""

    __slots__ = ("_sink",)

    _sink: Sink

    def opened(self, sink: Sink) -> None:
        """Remember where to answer."""
        self._sink = sink

    def drained(self) -> None:
        """Nothing is kept back here."""

    def received(self, message: str | bytes) -> None:
        """Send `message` back, text as text and binary as binary."""
        self._sink.reply(encode_message(message))

    def closed(self) -> None:
        """Nothing is held."""


async def echo(request: Request) -> Answer:
    """The handler to mount under a path (`--echo`)."""
    return WebSocket(peer=Echo())
