"""The newest publications of a channel, in memory, with their encodings.

Offsets are contiguous: the ring holds those after `base` up to `head`. Trimming never removes what has not been
flushed.
"""

from collections.abc import Iterable

import msgspec

from gateway.hub.encoding import Encoding
from skyhooks.publication import Position, Publication


class Chunk(msgspec.Struct, frozen=True):
    """Frames joined for one write. `ends[i]` is where frame i ends in `data`, `offsets[i]` the offset it brings one to.

    `last` is where a subscriber stands that has taken all of it; publications that are not shown count too.
    """

    data: bytes
    ends: list[int]
    offsets: list[int]
    first: int
    last: int

    def cursor(self, taken: int) -> int:
        """Where a subscriber stands after `taken` frames."""
        if taken == len(self.ends):
            return self.last
        return self.offsets[taken - 1] if taken else self.first


def join(first: int, last: int, frames: Iterable[tuple[int, bytes]]) -> Chunk:
    """One chunk of (offset, frame) pairs that lead from offset `first` to offset `last`."""
    parts: list[bytes] = []
    ends: list[int] = []
    offsets: list[int] = []
    end = 0
    for offset, frame in frames:
        end += len(frame)
        parts.append(frame)
        ends.append(end)
        offsets.append(offset)
    return Chunk(b"".join(parts), ends, offsets, first, last)


class Entry:
    """A publication in a ring, with what it looks like on the transports that asked."""

    __slots__ = ("encoded", "publication")

    def __init__(self, publication: Publication) -> None:
        self.publication = publication
        self.encoded: dict[str, bytes] = {}


class Ring:
    """At most about `count` publications and `size` bytes of data once trimmed."""

    __slots__ = ("_bytes", "_count", "_entries", "_size", "base")

    def __init__(self, base: int, count: int, size: int) -> None:
        self.base = base
        self._count = count
        self._size = size
        self._bytes = 0
        self._entries: list[Entry] = []

    @property
    def head(self) -> int:
        """The offset of the newest publication."""
        return self.base + len(self._entries)

    def append(self, publication: Publication) -> None:
        """Add the publication that follows the head. Raises `ValueError` for any other."""
        if publication.offset != self.head + 1:
            raise ValueError(f"offset {publication.offset} does not follow {self.head}")
        self._entries.append(Entry(publication))
        self._bytes += len(publication.data)

    def trim(self, keep_after: int) -> None:
        """Drop the oldest beyond the limits, but nothing after offset `keep_after`."""
        drop = 0
        spare = min(keep_after, self.head) - self.base
        while drop < spare and (len(self._entries) - drop > self._count or self._bytes > self._size):
            self._bytes -= len(self._entries[drop].publication.data)
            drop += 1
        if drop:
            del self._entries[:drop]
            self.base += drop

    def reset(self, base: int) -> None:
        """Forget everything and go on after offset `base`."""
        self._entries.clear()
        self._bytes = 0
        self.base = base

    def chunk(self, encoding: Encoding, epoch: str, after: int, upto: int, size: int | None = None) -> Chunk:
        """The frames after offset `after` up to offset `upto`, cut once they exceed `size` bytes (at least one)."""
        frames: list[tuple[int, bytes]] = []
        total = 0
        last = upto
        for entry in self._entries[after - self.base : upto - self.base]:
            publication = entry.publication
            if publication.control:
                continue
            frame = entry.encoded.get(encoding.name)
            if frame is None:
                position = Position(epoch, publication.offset)
                frame = entry.encoded[encoding.name] = encoding.publication(position, publication.data)
            frames.append((publication.offset, frame))
            total += len(frame)
            if size is not None and total >= size:
                last = publication.offset
                break
        return join(after, last, frames)
