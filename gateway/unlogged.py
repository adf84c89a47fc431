"""What stands in for the log of a bridged channel where there is none: a cluster without a store.

What it is given goes out at once, and nobody can ask for it later. It fences only what this process writes: while two
nodes both take themselves for the leader, both are heard. A leader begins with what its feed brings from then on,
because nobody knows how much of it the one before has published; so a change of leaders may leave a hole, and repeats
nothing.
"""

from collections.abc import Callable, Sequence

from skyhooks.publication import Draft, Outcome, Position
from skyhooks.store.base import Head

Publish = Callable[[str, str, bytes], Position]


class Unlogged:
    """`append` and `head` for a `Bridge`. `publish` takes channel, id and data, and gives the position it had here."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._fences: dict[str, int] = {}

    async def append(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """Publish drafts: ``stored``, or ``fenced`` when this process has written under a higher term."""
        return [self._append(draft) for draft in drafts]

    async def head(self, channel: str) -> Head | None:
        """Under which term this process has written last; no feed's cursor is ever known."""
        fence = self._fences.get(channel)
        return None if fence is None else Head("", 0, fence)

    def _append(self, draft: Draft) -> Outcome:
        if any(self._fences.get(channel, 0) > draft.fence for channel in draft.channels):
            return Outcome("fenced")
        for channel in draft.channels:
            self._fences[channel] = draft.fence
        if draft.control:
            return Outcome("stored")
        return Outcome("stored", {name: self._publish(name, draft.id, draft.data) for name in draft.channels})
