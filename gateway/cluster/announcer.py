"""Nodes announce themselves in turn in the channel ``announce``, one each second, the leader with a star.

Whose turn it is follows from the roster and the second, so nobody has to ask anybody.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from gateway.cluster.roster import Roster

CHANNEL: Final = "announce"


def turn(roster: Roster, second: int) -> str:
    """The node whose turn it is in this second since 1970; empty when there is none."""
    nodes = sorted(roster.members)
    return nodes[second % len(nodes)] if nodes else ""


def announcement(roster: Roster, node: str) -> bytes:
    """What a node says, as JSON: ``{"node": "n1", "leader": true, "term": 3, "text": "★ n1"}``."""
    leads = roster.leader == node
    said = {"node": node, "leader": leads, "term": roster.term, "text": f"★ {node}" if leads else node}
    return msgspec.json.encode(said)


class Announcer:
    """Announces node `node` through `publish`, which takes a channel and data. `clock` gives seconds since 1970."""

    def __init__(
        self,
        node: str,
        roster: Callable[[], Roster],
        publish: Callable[[str, bytes], object],
        clock: Callable[[], float],
    ) -> None:
        self._node = node
        self._roster = roster
        self._publish = publish
        self._clock = clock

    async def run(self) -> None:
        """Announce until cancelled."""
        second = 0
        while True:
            now = self._clock()
            # Not the same second again, also when the sleep was a little short; but a clock may be set back.
            second = second + 1 if int(now) == second - 1 else int(now) + 1
            await asyncio.sleep(second - now)
            roster = self._roster()
            if turn(roster, second) == self._node:
                self._publish(CHANNEL, announcement(roster, self._node))
