"""Publications and positions: what travels through channels, and where in them something stands.

Rule: offsets of a channel are contiguous from 1 inside an epoch; a new epoch is a new history (design, invariant 2).
"""

import re
from typing import Annotated, Final, Literal

import msgspec

from skyhooks.errors import Refused

READY_STATES: Final = frozenset({"SUCCESS", "FAILURE", "REVOKED"})
"""Celery's states after which a task does nothing more (``celery.states.READY_STATES``)."""

POSITION_PATTERN: Final = r"([A-Za-z0-9.]{1,64})-([0-9]{1,15})"
MAX_WORD: Final = 200
MAX_RETRIES: Final = 2**31 - 1

_POSITION = re.compile(rf"{POSITION_PATTERN}\Z")


class Position(msgspec.Struct, frozen=True):
    """A place in a channel: everything up to `offset` of the history `epoch` has been seen.

    Opaque to clients: ``str(position)`` is handed out and `parse` takes it back on any node. ``0`` stands for the
    start of whatever history the channel has or will have.
    """

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}" if self.epoch else "0"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Read a position back. Raises `Refused` (``bad_position``)."""
        if text == "0":
            return START
        match = _POSITION.match(text)
        if match is None:
            raise Refused(
                "bad_position", f"a position is one that skyhooks handed out, or 0 for the start; got {text[:80]!r}"
            )
        return cls(match[1], int(match[2]))


START: Final = Position("", 0)


class Publication(msgspec.Struct, frozen=True):
    """One message in a channel.

    `data` is compact JSON text in UTF-8 without line breaks. A `control` publication uses an offset and is not
    shown to subscribers.
    """

    id: str
    offset: int
    data: bytes
    control: bool = False


class TaskMark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which execution of a Celery task a publication tells of; decides what supersedes what (design, section 8).

    `run` names one execution (empty: the worker's main process, which does not know), `retries` is Celery's counter
    and `state` Celery's state. The bounds hold for what is decoded: no store has to carry a larger number.
    """

    run: Annotated[str, msgspec.Meta(max_length=MAX_WORD)]
    retries: Annotated[int, msgspec.Meta(ge=0, le=MAX_RETRIES)]
    state: Annotated[str, msgspec.Meta(max_length=MAX_WORD)]

    @property
    def end(self) -> bool:
        """Whether the task does nothing more after this."""
        return self.state in READY_STATES


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A publication that has no offset yet.

    `channels` are one or two names; with two, the first is the task's own (``tasks/…``). It is stored in all of
    them or in none. `fence` is the term of the leader that writes, 0 for everyone else; `cursor` is where its feed
    stands after this.
    """

    id: str
    channels: tuple[str, ...]
    data: bytes
    task: TaskMark | None = None
    fence: int = 0
    cursor: str = ""
    control: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What became of one draft.

    ``stored`` and ``duplicate`` name the position it has in each channel. ``superseded``: the task has ended or a
    newer execution has begun. ``fenced``: a newer leader has written to the channel. Neither of the last two
    changed anything.
    """

    status: Literal["stored", "duplicate", "superseded", "fenced"]
    positions: dict[str, Position] = {}
