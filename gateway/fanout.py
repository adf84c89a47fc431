"""Gives what is published to this node's subscribers and to the other nodes, and takes in what those say.

What has a log goes to the others as a hint: the log is where they find what a hint did not bring. What has none goes
to them once, and takes an offset of its own on each node.
"""

from collections.abc import Sequence
from typing import Protocol

from gateway.hub.hub import Hub
from gateway.mesh.frames import Frame
from skyhooks.channel import namespace_of
from skyhooks.publication import Draft, Outcome, Position, Publication


class Voice(Protocol):
    """What carries publications to the other nodes. Neither call waits."""

    def publish(self, channel: str, epoch: str, publications: Sequence[Publication]) -> None:
        """Say what was published to a channel; without an epoch it has no log."""
        ...

    def announce(self, channel: str, head: Position) -> None:
        """Say only how far a channel's log reaches."""
        ...


class Fanout:
    """Between the log, `hub` and the other nodes. `durable` are the namespaces that have a log."""

    def __init__(self, hub: Hub, voice: Voice | None, durable: frozenset[str]) -> None:
        self._hub = hub
        self._voice = voice
        self._durable = durable

    def is_durable(self, channel: str) -> bool:
        """Whether a channel has a log."""
        return namespace_of(channel) in self._durable

    def committed(self, drafts: Sequence[Draft], outcomes: Sequence[Outcome]) -> None:
        """Drafts have been appended to the log. Duplicates are told too: their first writer may have died before."""
        for draft, outcome in zip(drafts, outcomes, strict=True):
            for channel, position in outcome.positions.items():
                if not self.is_durable(channel):
                    # A log that no other node reads only settles what is a duplicate.
                    if outcome.status == "stored" and not draft.control:
                        self.publish(channel, draft.id, draft.data)
                elif outcome.status == "stored":
                    publication = Publication(draft.id, position.offset, draft.data, draft.control)
                    self._hub.offer(channel, position.epoch, publication)
                    if self._voice is not None:
                        self._voice.publish(channel, position.epoch, (publication,))
                else:
                    # What the log holds under this id need not be what has come now.
                    self._hub.announce(channel, position)
                    if self._voice is not None:
                        self._voice.announce(channel, position)

    def publish(self, channel: str, publication_id: str, data: bytes) -> Position:
        """Publish to a channel without a log: at most once, in this node's order."""
        position = self._hub.publish(channel, publication_id, data)
        if self._voice is not None:
            self._voice.publish(channel, "", (Publication(publication_id, position.offset, data),))
        return position

    def receive(self, frame: Frame) -> None:
        """Another node has said something about a channel."""
        if not frame.epoch:
            for publication in frame.publications:
                self._hub.hear(frame.channel, publication.id, publication.data)
            return
        for publication in frame.publications:
            self._hub.offer(frame.channel, frame.epoch, publication)
        if frame.head:
            self._hub.announce(frame.channel, Position(frame.epoch, frame.head))
