"""Who leads, by leases in the store: one node's decisions. Pure: what the store said, and when, arrives as arguments.

Theory of operation. The store lets one holder have the lease ``leader`` at a time and gives each new possession a
higher term; only the store's clock says when it ends. A node looks at all leases with each heartbeat. It stands when
nobody leads, and renews while it does. All others stand with it: that is one write from each, of which the store lets
one through, and spreading them out would only leave the cluster without a leader for longer. Its own clock can only
end its leadership early: counted from before the request was sent, it believes in its lease for less time than the
store does, so it has stopped by the time that another can have begun. (What protects the log from a leader that was
asleep is the fence, not this.)

Who has retired gives the lease back as often as the store shows it in its name: a request that was on its way may have
taken it anew, for nobody's use.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final

import msgspec

from gateway.cluster.roster import Member, Roster
from skyhooks.registry import GATEWAY, NODES
from skyhooks.store.base import Lease

LEADER: Final = "leader"
"""The name of the leader's lease."""
MARGIN: Final = 0.1
"""The share of its lease that a leader does not use."""


class Step(Enum):
    """What a node does after it has looked at the leases."""

    FOLLOW = "follow"
    STAND = "stand"
    RENEW = "renew"
    GIVE_BACK = "give back"


class _Info(msgspec.Struct):
    """What a node's lease tells. Other versions may tell more, or less."""

    url: str = ""
    role: str = GATEWAY
    mesh: str = ""
    rpc: str = ""
    journal: str = ""
    key: str = ""
    incarnation: str = ""


class Election:
    """The view of node `node` in this run of it. Its lease as the leader is for `ttl` seconds."""

    def __init__(self, node: str, incarnation: str, ttl: float) -> None:
        self.holder = f"{node}/{incarnation}"
        self.ttl = ttl
        self.roster = Roster()
        self._node = node
        self._until = 0.0
        self._retired = False
        self._held = 0
        self._may_hold = False

    @property
    def leads(self) -> bool:
        """Whether this node leads now."""
        return self.roster.leader == self._node

    @property
    def until(self) -> float:
        """When whoever is known to lead counts as a leader no more, by this node's clock."""
        return self._until

    @property
    def held(self) -> int:
        """The term under which the store last showed the leader's lease in this node's name."""
        return self._held

    @property
    def may_hold(self) -> bool:
        """Whether the leader's lease may be in this node's name: it is, or a request for it was not answered."""
        return self._may_hold

    def observed(self, leases: Sequence[Lease], asked: float) -> Step:
        """These are all leases in force, asked for at `asked`."""
        members = {member.id: member for lease in leases if (member := member_of(lease)) is not None}
        found = next((lease for lease in leases if lease.name == LEADER), None)
        self._may_hold = found.holder == self.holder if found is not None else not self._retired
        if found is None:
            self._set(members, "", 0)
            return Step.FOLLOW if self._retired else Step.STAND
        if found.holder == self.holder:
            self._held = found.term
            # It is this node's; whether it still counts as one is settled by the renewal.
            self._set(members, self.roster.leader if self.leads else "", self.roster.term)
            return Step.GIVE_BACK if self._retired else Step.RENEW
        node, _, run = found.holder.rpartition("/")
        # When the node runs anew, the run that leads has ended, and only its lease has not.
        ended = node == self._node or (node in members and members[node].incarnation not in ("", run))
        self._set(members, "" if ended else node, found.term)
        self._until = asked + found.left
        return Step.FOLLOW

    def answered(self, lease: Lease | None, asked: float) -> None:
        """The store's answer to the request of `asked` for the leader's lease; None: somebody else has it."""
        self._may_hold = lease is not None
        if lease is None or self._retired:
            if self.leads:
                self._set(self.roster.members, "", 0)
            return
        self._until = asked + self.ttl * (1 - MARGIN)
        self._set(self.roster.members, self._node, lease.term)

    def tick(self, now: float) -> None:
        """Time has passed without news: nobody leads for longer than is known."""
        if self.roster.leader and now >= self._until:
            self._set(self.roster.members, "", 0)

    def retire(self) -> None:
        """Lead no more, and do not stand again."""
        self._retired = True
        if self.leads:
            self._set(self.roster.members, "", 0)

    def _set(self, members: dict[str, Member], leader: str, term: int) -> None:
        self.roster = Roster(members, leader, term if leader else 0)


def member_of(lease: Lease) -> Member | None:
    """The gateway behind a lease; None for other leases, other roles, and what cannot be understood."""
    if not lease.name.startswith(NODES):
        return None
    try:
        info = msgspec.json.decode(lease.info, type=_Info)
    except msgspec.DecodeError:
        return None
    if info.role != GATEWAY or not info.url:
        return None
    return Member(
        id=lease.name.removeprefix(NODES),
        url=info.url,
        mesh=info.mesh,
        rpc=info.rpc,
        journal=info.journal,
        key=info.key,
        incarnation=info.incarnation,
    )
