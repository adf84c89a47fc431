"""What workers and nodes tell the journal, and how it travels: a marker with the version, then entries in MessagePack.

Events: ``finished`` (a worker: a task has ended, with its state and, where it is known, how many seconds it ran),
``stored`` (a node: what the log made of a publication, and where it is) and ``sent`` (a node: to how many subscribers).
Pure.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

import msgspec

from skyhooks.store.base import JournalEntry

MARK: Final = b"skyhooks-journal/1"
FINISHED: Final = "finished"
STORED: Final = "stored"
SENT: Final = "sent"
MOST: Final = 500
"""Entries in one message."""
MAX_WORD: Final = 300
MAX_DATA: Final = 4000
"""Characters of an entry's data."""

_Word = Annotated[str, msgspec.Meta(max_length=MAX_WORD)]


class Garbage(Exception):
    """What came is no message of this version."""


class Address(msgspec.Struct, frozen=True):
    """Where a node takes notes: a ZeroMQ endpoint, and the public key of its owner (empty: not encrypted)."""

    endpoint: str
    key: str = ""


class Note(msgspec.Struct, frozen=True, array_like=True):
    """One thing that happened; `data` is a JSON object. The store adds the time."""

    event: _Word
    node: _Word
    account: _Word = ""
    task_id: _Word = ""
    data: Annotated[str, msgspec.Meta(max_length=MAX_DATA)] = "{}"

    @classmethod
    def of(cls, event: str, node: str, account: str = "", task_id: str = "", **data: Any) -> "Note":
        """A note with `data` as JSON; data that is too long is left out."""
        text = msgspec.json.encode(data).decode()
        kept = text if len(text) <= MAX_DATA else "{}"
        return cls(event[:MAX_WORD], node[:MAX_WORD], account[:MAX_WORD], task_id[:MAX_WORD], kept)

    @property
    def entry(self) -> JournalEntry:
        """As the store takes it."""
        return JournalEntry(
            event=self.event, node=self.node, account=self.account, task_id=self.task_id, data=self.data
        )


_packer = msgspec.msgpack.Encoder()
_Notes = Annotated[list[Note], msgspec.Meta(max_length=MOST)]
_unpacker: msgspec.msgpack.Decoder[list[Note]] = msgspec.msgpack.Decoder(_Notes)


def messages(notes: Sequence[Note]) -> Iterator[list[bytes]]:
    """The messages, each as its parts, that carry `notes`."""
    for start in range(0, len(notes), MOST):
        yield [MARK, _packer.encode(notes[start : start + MOST])]


def read_notes(parts: Sequence[bytes]) -> list[Note]:
    """The notes of one message. Raises `Garbage`."""
    if len(parts) != 2 or parts[0] != MARK:
        raise Garbage("not a message of this version")
    try:
        notes = _unpacker.decode(parts[1])
        for note in notes:
            msgspec.json.decode(note.data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbage(str(error)) from error
    return notes
