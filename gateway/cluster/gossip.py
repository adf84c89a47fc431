"""Roster and leader without a database: what one peer makes of what the others say. Pure: times are arguments.

Theory of operation. With each heartbeat a peer sends each one that it knows what it knows (`Digest`), and takes what
comes back. How long ago somebody was heard of travels along, so hearsay of the dead grows old everywhere and nobody
is brought back to life by it. Whoever was not heard of for `silence` seconds is gone. When nobody leads, the living
peer with the lowest id does, under a term above all that were seen. Of two leaders, as after a cut that has healed, the
one with the higher term stays, and with equal terms the one with the lower id.

None of this is fenced: while a cut lasts there is a leader on each side of it.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.cluster.roster import Member, Roster

PATIENCE: Final = 2.0
"""How often `silence` a peer with somebody to join waits for him before it leads by itself."""


class Hearsay(msgspec.Struct, frozen=True, array_like=True):
    """A peer, how many seconds ago it was heard of, and whether it would lead."""

    member: Member
    age: float
    stands: bool


class Digest(msgspec.Struct, frozen=True, array_like=True):
    """What `sender` knows. `leader` is ``ID/INCARNATION``, empty when it knows none. `leaving`: it is about to go."""

    sender: Hearsay
    others: list[Hearsay]
    leader: str
    term: int
    leaving: bool = False


class _Known:
    __slots__ = ("heard", "member", "stands")

    def __init__(self, member: Member, heard: float, stands: bool) -> None:
        self.member = member
        self.heard = heard
        self.stands = stands


class Peer:
    """The view of the peer `own`, which begins by asking the endpoints in `join`."""

    def __init__(self, own: Member, join: Sequence[str] = (), *, silence: float) -> None:
        self.own = own
        self._join = [endpoint for endpoint in join if endpoint != own.rpc]
        self._silence = silence
        self._known: dict[str, _Known] = {}
        self._gone: dict[tuple[str, str], float] = {}
        self._leader = ""
        self._term = 0
        self._began: float | None = None
        self._stands = True
        self._leaving = False

    @property
    def roster(self) -> Roster:
        """Who is there and who leads."""
        members = {self.own.id: self.own, **{name: one.member for name, one in self._known.items()}}
        leader = self._leader.partition("/")[0]
        return Roster(members, leader, self._term if leader else 0)

    def tick(self, now: float) -> list[tuple[str, str]]:
        """A heartbeat: the endpoints to send `digest` to, each with the key of whoever is there (empty: unknown)."""
        self._began = now if self._began is None else self._began
        for name, one in list(self._known.items()):
            if now - one.heard >= self._silence:
                del self._known[name]
        self._settle(now)
        there = [(one.member.rpc, one.member.key) for one in self._known.values() if one.member.rpc]
        known = {endpoint for endpoint, _ in there}
        return there + [(endpoint, "") for endpoint in self._join if endpoint not in known]

    def digest(self, now: float) -> Digest:
        """What this peer says."""
        others = [Hearsay(one.member, max(0.0, now - one.heard), one.stands) for one in self._known.values()]
        return Digest(Hearsay(self.own, 0.0, self._stands), others, self._leader, self._term, self._leaving)

    def heard(self, digest: Digest, now: float) -> None:
        """Another peer has said this."""
        if digest.sender.member.id == self.own.id or self._leaving:
            return
        if digest.leaving:
            member = digest.sender.member
            self._gone[member.id, member.incarnation] = now
            self._known.pop(member.id, None)
        else:
            self._learn(digest.sender, now)
        for one in digest.others:
            self._learn(one, now)
        self._compare(digest.leader, digest.term)
        self._settle(now)

    def resign(self) -> None:
        """Lead no more, and do not stand again."""
        self._stands = False
        if self._leads(self._leader):
            self._leader = ""

    def leave(self) -> None:
        """Resign, and be about to go."""
        self.resign()
        self._leaving = True

    def _learn(self, said: Hearsay, now: float) -> None:
        member, heard = said.member, now - max(0.0, said.age)
        gone = self._gone.get((member.id, member.incarnation))
        if member.id == self.own.id or now - heard >= self._silence or (gone is not None and heard <= gone):
            return
        known = self._known.get(member.id)
        if known is None or heard > known.heard:
            self._known[member.id] = _Known(member, heard, said.stands)

    def _compare(self, leader: str, term: int) -> None:
        """Somebody believes in this leader."""
        if term > self._term or (term == self._term and leader and (not self._leader or leader < self._leader)):
            self._leader, self._term = leader, term

    def _settle(self, now: float) -> None:
        """Lead, if nobody does and it is this peer's turn."""
        if self._leader and not self._lives(self._leader):
            self._leader = ""
        if self._leader or not self._stands or self._began is None:
            return
        if self._join and not self._known and now - self._began < PATIENCE * self._silence:
            return
        if any(one.stands and name < self.own.id for name, one in self._known.items()):
            return
        self._term += 1
        self._leader = f"{self.own.id}/{self.own.incarnation}"

    def _leads(self, leader: str) -> bool:
        return leader == f"{self.own.id}/{self.own.incarnation}"

    def _lives(self, leader: str) -> bool:
        """Whether a leader is there, in the same run of it, and would lead."""
        if self._leads(leader):
            return self._stands
        name, _, run = leader.partition("/")
        known = self._known.get(name)
        return known is not None and known.member.incarnation == run and known.stands
