"""A connection and a node for the hub's tests: the hub is pure, so these are all that it ever sees of the world."""

import json
from collections.abc import Sequence

from gateway.hub.channel import Channel
from gateway.hub.encoding import STREAM
from gateway.hub.hub import Hub
from gateway.hub.subscriber import Subscriber
from skyhooks.publication import Position, Publication
from skyhooks.store.base import Page


class Pipe:
    """A sink that takes `room` more frames and keeps what it took."""

    def __init__(self, room: int = 10**9) -> None:
        self.room = room
        self.bytes = b""
        self.closed_with: int | None = None

    def send(self, data: bytes, ends: Sequence[int]) -> int:
        assert self.closed_with is None, "written to after it was closed"
        taken = min(self.room, len(ends))
        self.room -= taken
        self.bytes += data[: ends[taken - 1] if taken else 0]
        return taken

    def has_room(self) -> bool:
        return self.room > 0

    def close(self, code: int, reason: str) -> None:
        self.closed_with = code

    def abort(self) -> None:
        self.closed_with = -1

    @property
    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.bytes.splitlines()]

    @property
    def data(self) -> list:
        return [line["data"] for line in self.lines if "data" in line]


class World:
    """A log in memory and the node's side of the hub; what it is asked waits in lists until a test lets it happen."""

    def __init__(self, *, count: int = 1000, most: int = 1000) -> None:
        self.hub = Hub(self, incarnation="run", count=count, size=1 << 20, most=most)
        self.epoch = "e"
        self.log: list[Publication] = []
        self.lost = 0
        self.woken = 0
        self.served: list[str] = []
        self.opening: list[Channel] = []
        self.filling: list[Channel] = []
        self.replaying: list[tuple[Channel, Subscriber]] = []

    # Work
    def serve(self, name: str) -> None:
        self.served.append(name)

    def drop(self, name: str) -> None:
        self.served.remove(name)

    def wake(self) -> None:
        self.woken += 1

    def open(self, channel: Channel) -> None:
        self.opening.append(channel)

    def fill(self, channel: Channel) -> None:
        if channel not in self.filling:
            self.filling.append(channel)

    def replay(self, channel: Channel, subscriber: Subscriber) -> None:
        self.replaying.append((channel, subscriber))

    # The world's side
    def commit(self, value: object) -> Publication:
        publication = Publication(f"p{value}", len(self.log) + 1, json.dumps(value).encode())
        self.log.append(publication)
        return publication

    def page(self, after: int, limit: int = 3) -> Page:
        start = max(after, self.lost)
        epoch = self.epoch if self.log else ""
        return Page(epoch, len(self.log), start, tuple(self.log[start : start + limit]))

    def publish(self, *values: object, name: str = "accounts/a") -> None:
        for value in values:
            self.hub.offer(name, self.epoch, self.commit(value))

    def settle(self) -> None:
        """Let everything that was asked for happen, until nothing is left."""
        while self.opening or self.filling or self.replaying:
            while self.opening:
                self.opening.pop().open(self.epoch if self.log else "", len(self.log))
            while self.filling:
                channel = self.filling.pop()
                channel.filled(self.page(channel.ring.head))
            while self.replaying:
                channel, subscriber = self.replaying.pop()
                channel.replayed([subscriber], self.page(subscriber.cursor))
            self.hub.flush()
        self.hub.flush()

    def subscribe(
        self, since: Position | None = None, *, room: int = 10**9, name: str = "accounts/a"
    ) -> tuple[Subscriber, Pipe]:
        channel = self.hub.channel(name, durable=name.startswith("accounts/"))
        subscriber = Subscriber(channel, STREAM, since)
        pipe = Pipe(room)
        subscriber.opened(pipe)
        return subscriber, pipe
