"""Decides what becomes of drafts, given the newest rows of their channels. Pure: the server is asked elsewhere.

A plan holds only if its rows can be inserted right behind the rows that it was made from. Then nobody has written in
between, and every decision in it was made together with its insertion.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bson import ObjectId, Timestamp

from skyhooks.publication import Draft, Outcome, Position
from skyhooks.store.mongo.row import Slot, row_document, slot_behind
from skyhooks.store.mongo.steps import Document


class Item(NamedTuple):
    """A draft, and the key of the document that this call would store it in: a row with it was stored by this call."""

    draft: Draft
    key: ObjectId


class Place(NamedTuple):
    """Where an id is in a channel, and the key of its document."""

    position: Position
    key: ObjectId


@dataclass(slots=True)
class Knowledge:
    """What is known of the log beyond the newest rows.

    `places` are by channel and id, `runs` tell by channel and run whether it was seen there. Only when it is `certain`
    have the newest rows just been read and all ids been looked up after that; a refusal needs that, a row does not.
    """

    places: dict[tuple[str, str], Place] = field(default_factory=dict)
    runs: dict[tuple[str, str], bool] = field(default_factory=dict)
    certain: bool = False


class Plan:
    """Drafts added one after the other behind `tips`, the newest rows by channel.

    `rows` are the documents to insert, in order; `outcomes` is the answer for each draft once they are. A plan that is
    `doubtful`, or that has `questions` (channel and run: was it seen there?), must be made again with better knowledge.
    """

    def __init__(self, tips: Mapping[str, Slot], knowledge: Knowledge, stamp: Callable[[], Timestamp]) -> None:
        self.tips = dict(tips)
        self.rows: list[Document] = []
        self.outcomes: list[Outcome] = []
        self.doubtful = False
        self.questions: set[tuple[str, str]] = set()
        self._knowledge = knowledge
        self._stamp = stamp
        self._placed: dict[tuple[str, str], Position] = {}
        self._runs: set[tuple[str, str]] = set()

    def add(self, item: Item) -> None:
        """Decide about the next draft."""
        draft = item.draft
        there = {name: tip for name in draft.channels if (tip := self.tips.get(name))}
        outcome = self._known(item) or self._refusal(draft, there)
        self.outcomes.append(outcome or Outcome("stored", self._insert(item)))

    def _known(self, item: Item) -> Outcome | None:
        positions: dict[str, Position] = {}
        mine = False
        for channel in item.draft.channels:
            if place := self._knowledge.places.get((channel, item.draft.id)):
                positions[channel] = place.position
                mine = mine or place.key == item.key
            elif position := self._placed.get((channel, item.draft.id)):
                positions[channel] = position
        return Outcome("stored" if mine else "duplicate", positions) if positions else None

    def _refusal(self, draft: Draft, there: Mapping[str, Slot]) -> Outcome | None:
        first = there.get(draft.channels[0])
        if draft.task and first and first.history.supersedes(draft.task, lambda run: self._seen(first.channel, run)):
            outcome = Outcome("superseded")
        elif any(tip.fence > draft.fence for tip in there.values()):
            outcome = Outcome("fenced")
        else:
            return None
        self.doubtful = self.doubtful or not self._knowledge.certain
        return outcome

    def _seen(self, channel: str, run: str) -> bool:
        if (channel, run) in self._runs:
            return True
        known = self._knowledge.runs.get((channel, run))
        if known is None:
            self.questions.add((channel, run))
        return bool(known)

    def _insert(self, item: Item) -> dict[str, Position]:
        draft = item.draft
        slots = {channel: slot_behind(self.tips.get(channel), channel, draft) for channel in draft.channels}
        self.rows.append(row_document(item.key, draft, slots, self._stamp()))
        self.tips.update(slots)
        self._placed |= {(channel, draft.id): slot.position for channel, slot in slots.items()}
        if draft.task:
            self._runs.add((draft.channels[0], draft.task.run))
        return {channel: slot.position for channel, slot in slots.items()}


def make_plan(
    items: Sequence[Item], tips: Mapping[str, Slot], knowledge: Knowledge, stamp: Callable[[], Timestamp]
) -> Plan:
    """A plan for all items, in their order; `stamp` gives each row's time."""
    plan = Plan(tips, knowledge, stamp)
    for item in items:
        plan.add(item)
    return plan
