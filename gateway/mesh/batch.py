"""What was published to one channel in one turn of the loop, until it leaves as a frame. Pure.

With a log (an epoch), more data than a frame may carry is dropped and its position announced: every node can read it.
Without one a batch that is full is followed by another.
"""

from typing import Final

from gateway.mesh.frames import Frame
from skyhooks.publication import Publication

ENVELOPE: Final = 32
"""Bytes around a publication's id and data in a frame, at most."""

HEADROOM: Final = 1024
"""Bytes of a message that are not publications, at most: topic, version, node, epoch, head."""


def weight(publication: Publication) -> int:
    """Bytes that a publication takes in a frame, at most."""
    return len(publication.data) + 4 * len(publication.id) + ENVELOPE


class Batch:
    """Contiguous publications of one epoch, `limit` bytes at most, and how far the log reaches beyond them, or 0."""

    __slots__ = ("_bytes", "_limit", "epoch", "head", "publications")

    def __init__(self, epoch: str, limit: int) -> None:
        self.epoch = epoch
        self.head = 0
        self.publications: list[Publication] = []
        self._limit = limit
        self._bytes = 0

    def take(self, publication: Publication) -> bool:
        """Add one. False when it belongs into another batch; the first one is always taken."""
        follows = not self.publications or publication.offset == self.publications[-1].offset + 1
        fits = self._bytes + weight(publication) <= self._limit
        if self.publications and not (follows and (fits or self.epoch)):
            return False
        self._bytes += weight(publication)
        if self.epoch and not fits:
            self.publications.clear()
            self.announce(publication.offset)
            return True
        self.publications.append(publication)
        self.head = self.head if self.head > publication.offset else 0
        return True

    def announce(self, offset: int) -> None:
        """The log reaches to `offset`."""
        if not self.publications or offset > self.publications[-1].offset:
            self.head = max(self.head, offset)

    def frame(self, channel: str, node: str) -> Frame:
        """What leaves."""
        return Frame(channel, self.epoch, tuple(self.publications), self.head, node)
