"""A publication's document: what stands in it, and where.

::

    _id, id, at, data, control      the publication; `at` is the server's time, `data` goes with retention
    t: {channel, epoch, offset, …}  its place in its tasks/… channel, if it has one
    a: {channel, epoch, offset, …}  its place in its other channel, if it has one

A slot carries everything that the next row must know of the ones before it: the epoch, the fence, the feed's cursor,
the bytes so far, the task's history. So the newest row is the channel's head, and there are no head records.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from bson import ObjectId, Timestamp

from skyhooks.channel import TASKS, namespace_of
from skyhooks.publication import Draft, Position
from skyhooks.store.mongo.steps import Document
from skyhooks.store.supersession import TaskHistory

ROWS: Final = "rows"
SLOTS: Final = ("t", "a")


def slot_of(channel: str) -> str:
    """The slot that a channel's rows have."""
    return "t" if namespace_of(channel) == TASKS else "a"


@dataclass(frozen=True, slots=True)
class Slot:
    """A publication's place in one channel. In a document, what has its default is left out.

    `total` counts the bytes of data of the channel up to and including this row. `ended`, `run` and `retries` are the
    `TaskHistory` after it. A `bare` slot has lost its data to retention.
    """

    channel: str
    epoch: str
    offset: int
    fence: int = 0
    cursor: str = ""
    total: int = 0
    ended: bool = False
    run: str = ""
    retries: int = 0
    bare: bool = False

    @property
    def position(self) -> Position:
        """The place as everybody else knows it."""
        return Position(self.epoch, self.offset)

    @property
    def history(self) -> TaskHistory:
        """What the task's channel has seen."""
        return TaskHistory(self.ended, self.run, self.retries)

    def document(self) -> Document:
        """How it is stored."""
        return {name: value for name, default in _FIELDS if (value := getattr(self, name)) != default}


_FIELDS: Final = tuple((field.name, field.default) for field in fields(Slot))


def slot_from(document: Mapping[str, object]) -> Slot:
    """A slot as it was stored."""
    return Slot(**document)  # type: ignore[arg-type]


def slot_behind(tip: Slot | None, channel: str, draft: Draft) -> Slot:
    """The place of `draft` in `channel`, whose newest row is `tip`.

    The first row draws the epoch: an ObjectId, which nobody else draws too, and by which channels can be put in the
    order of their making.
    """
    if tip is None:
        tip = Slot(channel, str(ObjectId()), 0)
    task = draft.task if channel == draft.channels[0] else None
    history = tip.history.after(task) if task else tip.history
    return Slot(
        channel,
        tip.epoch,
        tip.offset + 1,
        fence=draft.fence,
        cursor=draft.cursor or tip.cursor,
        total=tip.total + len(draft.data),
        ended=history.ended,
        run=history.run,
        retries=history.retries,
    )


def row_document(key: ObjectId, draft: Draft, slots: Mapping[str, Slot], at: Timestamp) -> Document:
    """The document of a publication; `slots` are by channel.

    Raises `ValueError` for two channels that would share a slot.
    """
    document: Document = {"_id": key, "id": draft.id, "at": at, "data": draft.data}
    if draft.control:
        document["control"] = True
    for channel, slot in slots.items():
        if slot_of(channel) in document:
            raise ValueError(f"a publication has at most one tasks/… channel and one other; got {draft.channels}")
        document[slot_of(channel)] = slot.document()
    return document
