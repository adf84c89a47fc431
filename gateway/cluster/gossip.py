"""Roster and leader without a database: what one peer makes of what the others say. Pure: times are arguments.

Theory of operation. With each heartbeat a peer counts its own heartbeats up, sends each one that it knows what it
knows (`Digest`), and takes what comes back. Whoever's count has not grown for `silence` seconds is gone: the count of
the dead grows nowhere, so hearsay of them, however long it is on its way, brings nobody back to life (the failure
detector of van Renesse, Minsky and Hayden, 1998). When nobody leads, the living peer with the lowest id does, under a
term above all that were seen. Of two leaders, as after a cut that has healed, the one with the higher term stays, and
with equal terms the one with the lower id.

A peer that was asleep for longer than `silence` has heard of nobody in that time, and draws no conclusions from that:
it takes the others for as alive as before, leads no more, and does not stand before somebody has told it who leads, or
nobody has for as long as `silence`. That it leads itself it believes only of those who have heard it since: what others
said while it slept is still waiting to be read, and says what was true before they elected another.

None of this is fenced: while a cut lasts there is a leader on each side of it.
"""

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.cluster.roster import Member, Roster

PATIENCE: Final = 2.0
"""How often `silence` a peer with somebody to join waits for him before it leads by itself."""


class Hearsay(msgspec.Struct, frozen=True, array_like=True):
    """A peer, how often its heart has beaten in this run of it, and whether it would lead.

    The run began at `born`, in seconds since 1970 by its own clock: of two runs the later one counts.
    """

    member: Member
    born: float
    beat: int
    stands: bool


class Digest(msgspec.Struct, frozen=True, array_like=True):
    """What `sender` knows. `leader` is ``ID/INCARNATION``, empty when it knows none. `leaving`: it is about to go."""

    sender: Hearsay
    others: list[Hearsay]
    leader: str
    term: int
    leaving: bool = False


Sign = tuple[float, float]
"""Of life: when a run began, and how often its heart has beaten. A later one is greater."""
REMEMBERED: Final = 10.0
"""For how often `silence` a peer that has gone is remembered, so that nothing old is taken for news of it."""


class _Known:
    __slots__ = ("grown", "said")

    def __init__(self, said: Hearsay, grown: float) -> None:
        self.said = said
        self.grown = grown
        """When its count was first seen to be what it is."""

    @property
    def member(self) -> Member:
        return self.said.member

    @property
    def stands(self) -> bool:
        return self.said.stands


class Peer:
    """The view of the peer `own`, which begins by asking the endpoints in `join`.

    `born` is when this run of it began, in seconds since 1970.
    """

    def __init__(self, own: Member, join: Sequence[str] = (), *, silence: float, born: float = 0.0) -> None:
        self.own = own
        self._born = born
        self._beat = 0
        self._ticked: float | None = None
        self._waits = 0.0
        self._woke = 0
        self._join = [endpoint for endpoint in join if endpoint != own.rpc]
        self._silence = silence
        self._known: dict[str, _Known] = {}
        self._gone: dict[str, tuple[Sign, float]] = {}
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
        slept = 0.0 if self._ticked is None else now - self._ticked
        self._ticked = now
        self._beat += 1
        if slept >= self._silence and self._known:
            self._wake(slept, now)
        for name, one in list(self._known.items()):
            if now - one.grown >= self._silence:
                self._forget(name, _sign(one.said), now)
        self._gone = {
            name: (sign, at) for name, (sign, at) in self._gone.items() if now - at < REMEMBERED * self._silence
        }
        self._settle(now)
        there = [(one.member.rpc, one.member.key) for one in self._known.values() if one.member.rpc]
        known = {endpoint for endpoint, _ in there}
        return there + [(endpoint, "") for endpoint in self._join if endpoint not in known]

    def digest(self) -> Digest:
        """What this peer says."""
        own = Hearsay(self.own, self._born, self._beat, self._stands)
        return Digest(own, [one.said for one in self._known.values()], self._leader, self._term, self._leaving)

    def heard(self, digest: Digest, now: float) -> None:
        """Another peer has said this."""
        if digest.sender.member.id == self.own.id or self._leaving:
            return
        if digest.leaving:
            self._forget(digest.sender.member.id, (digest.sender.born, math.inf), now)
        else:
            self._learn(digest.sender, now)
        for one in digest.others:
            self._learn(one, now)
        if not self._leads(digest.leader) or now >= self._waits or self._has_been_heard(digest):
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
        name = said.member.id
        if name == self.own.id or (name in self._gone and _sign(said) <= self._gone[name][0]):
            return
        known = self._known.get(name)
        if known is None or _sign(said) > _sign(known.said):
            self._known[name] = _Known(said, now)

    def _forget(self, name: str, sign: Sign, now: float) -> None:
        """A peer is gone, and nothing that is not newer than `sign` brings it back."""
        self._known.pop(name, None)
        self._gone[name] = (sign, now)

    def _wake(self, slept: float, now: float) -> None:
        """Time has passed in which this peer could hear of nobody."""
        for one in self._known.values():
            one.grown = min(now, one.grown + slept)
        if self._leads(self._leader):
            self._leader = ""
        self._waits = now + self._silence
        self._woke = self._beat

    def _has_been_heard(self, digest: Digest) -> bool:
        """Whether this was said by one who has heard of this peer since it woke."""
        return any(one.member.id == self.own.id and _sign(one) >= (self._born, self._woke) for one in digest.others)

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
        if self._known and now < self._waits:
            return
        if any(one.stands and name < self.own.id for name, one in self._known.items()):
            return
        self._term += 1
        self._leader = f"{self.own.id}/{self.own.incarnation}"

    def _leads(self, leader: str) -> bool:
        """Whether a leader is this peer, in this run of it."""
        return leader == f"{self.own.id}/{self.own.incarnation}"

    def _lives(self, leader: str) -> bool:
        """Whether a leader is there, in the same run of it, and would lead."""
        if self._leads(leader):
            return self._stands
        name, _, run = leader.partition("/")
        known = self._known.get(name)
        return known is not None and known.member.incarnation == run and known.stands


def _sign(said: Hearsay) -> Sign:
    return said.born, said.beat
