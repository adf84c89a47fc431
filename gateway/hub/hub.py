"""All channels of one node. Pure: what must wait (reading the log, the end of the loop's turn) is asked of `Work`."""

from typing import Protocol

from gateway.hub.channel import Channel
from gateway.hub.subscriber import Subscriber
from skyhooks.errors import Refused
from skyhooks.publication import Position, Publication


class Work(Protocol):
    """What the hub asks of its node. No call waits."""

    def serve(self, name: str) -> None:
        """A channel is served here from now on: what other nodes say of it is wanted. Comes before `open`."""
        ...

    def drop(self, name: str) -> None:
        """A channel is not served here any more."""
        ...

    def wake(self) -> None:
        """Call `Hub.flush` at the end of this turn of the event loop."""
        ...

    def open(self, channel: Channel) -> None:
        """Read the head of a durable channel from the log and call `Channel.open`."""
        ...

    def fill(self, channel: Channel) -> None:
        """Read the log after the ring's head and call `Channel.filled`."""
        ...

    def replay(self, channel: Channel, subscriber: Subscriber) -> None:
        """Read the log after the subscriber's cursor and call `Channel.replayed`."""
        ...


class Hub:
    """Channels by name, made when somebody subscribes and dropped when nobody has for a while.

    `incarnation` names this run of this node: it is the epoch of channels that have no log. `count` and `size`
    bound each ring, in publications and in bytes of data; `most` bounds the channels.
    """

    def __init__(self, work: Work, *, incarnation: str, count: int, size: int, most: int = 100_000) -> None:
        self.channels: dict[str, Channel] = {}
        self._work = work
        self._incarnation = incarnation
        self._born = 0
        self._count = count
        self._size = size
        self._most = most
        self._dirty: dict[Channel, None] = {}

    @property
    def subscribers(self) -> int:
        """How many there are on this node."""
        return sum(channel.subscribers for channel in self.channels.values())

    def channel(self, name: str, *, durable: bool) -> Channel:
        """The channel of this name, made when it is not there.

        Raises `Refused` (503, ``too_many_channels``) when that would be one too many.
        """
        channel = self.channels.get(name)
        if channel is None:
            if len(self.channels) >= self._most:
                detail = f"this node serves {self._most} channels, and no more; come back later or try another one"
                raise Refused("too_many_channels", detail, 503, {"Retry-After": "5"})
            channel = Channel(name, self, durable=durable, count=self._count, size=self._size)
            self.channels[name] = channel
            self._work.serve(name)
            if durable:
                self._work.open(channel)
            else:
                # A channel that was dropped and made again starts at 1 once more, so it needs an epoch of its own.
                self._born += 1
                channel.open(f"{self._incarnation}.{self._born}", 0)
        return channel

    def publish(self, name: str, publication_id: str, data: bytes) -> Position:
        """Publish to a channel without a log: at most once, in this node's order.

        Nothing is kept for a channel that nobody has subscribed to: no one holds a position in it.
        """
        channel = self.channels.get(name)
        if channel is None:
            self._born += 1
            return Position(f"{self._incarnation}.{self._born}", 1)
        publication = Publication(publication_id, channel.ring.head + 1, data)
        channel.offer(channel.epoch, publication)
        return Position(channel.epoch, publication.offset)

    def offer(self, name: str, epoch: str, publication: Publication) -> None:
        """A publication has been committed to the log; whoever serves its channel takes it."""
        channel = self.channels.get(name)
        if channel is not None and channel.durable:
            channel.offer(epoch, publication)

    def hear(self, name: str, publication_id: str, data: bytes) -> None:
        """Another node has published to a channel without a log; here it takes this node's next offset."""
        channel = self.channels.get(name)
        if channel is not None and not channel.durable:
            channel.offer(channel.epoch, Publication(publication_id, channel.ring.head + 1, data))

    def announce(self, name: str, head: Position) -> None:
        """The log of a channel is known to reach `head`."""
        channel = self.channels.get(name)
        if channel is not None and channel.durable:
            channel.announce(head)

    def flush(self) -> None:
        """Write everything new to everyone who is live."""
        dirty, self._dirty = self._dirty, {}
        for channel in dirty:
            channel.flush()

    def sweep(self, now: float, linger: float) -> list[str]:
        """Drop channels that nobody has subscribed to for `linger` seconds; their names. `now` is any steady clock."""
        gone = []
        for name, channel in self.channels.items():
            if channel.subscribers:
                channel.idle_since = None
            elif channel.idle_since is None:
                channel.idle_since = now
            elif now - channel.idle_since > linger:
                gone.append(name)
        for name in gone:
            del self.channels[name]
            self._work.drop(name)
        return gone

    # What channels ask of their hub (`Needs`).

    def dirty(self, channel: Channel) -> None:
        """Flush this channel at the end of the turn."""
        if not self._dirty:
            self._work.wake()
        self._dirty[channel] = None

    def fill(self, channel: Channel) -> None:
        """Pass on to the node."""
        self._work.fill(channel)

    def replay(self, channel: Channel, subscriber: Subscriber) -> None:
        """Pass on to the node."""
        self._work.replay(channel, subscriber)
