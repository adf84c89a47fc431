"""Scripts: who says what to whom when, and what each then believes. Then a thousand seconds of a bad network."""

import random

import pytest

from gateway.cluster.gossip import Digest, Hearsay, Peer
from gateway.cluster.roster import Member

SILENCE = 3.0


def member(name: str, run: str = "1") -> Member:
    return Member(name, f"http://{name}", rpc=f"ipc:///{name}", incarnation=run)


def peer(name: str, *join: str, run: str = "1") -> Peer:
    return Peer(member(name, run), [f"ipc:///{one}" for one in join], silence=SILENCE)


class Room:
    """Peers, and what passes between them: one round is a heartbeat of a second."""

    def __init__(self, *peers: Peer) -> None:
        self.peers = {one.own.rpc: one for one in peers}
        self.now = 0.0
        self.cut: set[frozenset[str]] = set()
        self.loss = 0.0
        self.chance = random.Random(1)

    def rounds(self, count: int) -> None:
        for _ in range(count):
            self.now += 1
            for one in list(self.peers.values()):
                for endpoint, _ in one.tick(self.now):
                    self.pass_on(one, endpoint)

    def pass_on(self, one: Peer, endpoint: str) -> None:
        other = self.peers.get(endpoint)
        if other is None or frozenset((one.own.id, other.own.id)) in self.cut or self.lost():
            return
        other.heard(one.digest(self.now), self.now)
        if not self.lost():
            one.heard(other.digest(self.now), self.now)

    def lost(self) -> bool:
        return self.chance.random() < self.loss

    def trace(self) -> list[tuple[str, str, int, str]]:
        """What each believes: who leads, under which term, and who is there."""
        return [
            (one.own.id, one.roster.leader, one.roster.term, "".join(sorted(one.roster.members)))
            for one in self.peers.values()
        ]


def test_alone_without_anybody_to_join_a_peer_leads_at_once() -> None:
    room = Room(peer("a"))
    room.rounds(1)
    assert room.trace() == [("a", "a", 1, "a")]


def test_who_joins_any_of_them_is_known_to_all_and_knows_who_leads() -> None:
    room = Room(peer("b"), peer("c", "b"), peer("a", "c"))
    room.rounds(3)
    assert room.trace() == [("b", "b", 1, "abc"), ("c", "b", 1, "abc"), ("a", "b", 1, "abc")]


def test_a_lost_leader_is_replaced_by_the_lowest_of_the_others() -> None:
    room = Room(peer("b"), peer("c", "b"), peer("a", "b"))
    room.rounds(3)
    del room.peers["ipc:///b"]
    room.rounds(4)
    assert room.trace() == [("c", "a", 2, "ac"), ("a", "a", 2, "ac")]


def test_one_that_returns_joins_again_and_does_not_take_over() -> None:
    room = Room(peer("a"), peer("b", "a"))
    room.rounds(2)
    del room.peers["ipc:///a"]
    room.rounds(4)
    room.peers["ipc:///a"] = peer("a", "b", run="2")
    room.rounds(2)
    assert room.trace() == [("b", "b", 2, "ab"), ("a", "b", 2, "ab")]


def test_a_leader_that_runs_anew_at_once_is_not_taken_for_the_old_one() -> None:
    room = Room(peer("a"), peer("b", "a"))
    room.rounds(2)
    room.peers["ipc:///a"] = peer("a", "b", run="2")
    room.rounds(2)
    (_, leader, term, _), other = room.trace()
    assert (other[1], other[2]) == (leader, term)
    assert term == 2


def test_after_a_cut_has_healed_one_leader_is_left() -> None:
    room = Room(peer("a"), peer("b", "a"), peer("c", "a"))
    room.rounds(3)
    room.cut = {frozenset("ab"), frozenset("ac")}
    room.rounds(4)
    assert [one[1] for one in room.trace()] == ["a", "b", "b"]
    room.cut = set()
    room.rounds(3)
    assert {one[1:] for one in room.trace()} == {("b", 2, "abc")}


def test_of_two_leaders_of_one_term_the_lower_stays() -> None:
    room = Room(peer("b"), peer("a"))
    room.rounds(1)
    room.pass_on(room.peers["ipc:///b"], "ipc:///a")
    room.rounds(1)
    assert {one[1:] for one in room.trace()} == {("a", 1, "ab")}


def test_who_cannot_reach_whom_it_should_join_leads_alone_after_a_while_and_goes_on_asking() -> None:
    alone = peer("b", "nobody")
    room = Room(alone)
    room.rounds(6)
    assert room.trace() == [("b", "", 0, "b")]
    room.rounds(1)
    assert room.trace() == [("b", "b", 1, "b")]
    assert alone.tick(99) == [("ipc:///nobody", "")]


def test_who_resigns_is_replaced_and_stands_no_more() -> None:
    room = Room(peer("a"), peer("b", "a"))
    room.rounds(2)
    room.peers["ipc:///a"].resign()
    room.rounds(1)
    assert {one[1:] for one in room.trace()} == {("b", 2, "ab")}
    del room.peers["ipc:///b"]
    room.rounds(5)
    assert room.trace() == [("a", "", 0, "a")]


def test_who_leaves_is_forgotten_at_once_also_by_hearsay() -> None:
    room = Room(peer("a"), peer("b", "a"), peer("c", "a"))
    room.rounds(3)
    leaving = room.peers.pop("ipc:///c")
    leaving.leave()
    room.peers["ipc:///a"].heard(leaving.digest(room.now), room.now)
    room.rounds(1)
    assert room.trace()[0] == ("a", "a", 1, "ab")


def test_its_own_name_in_what_others_say_changes_nothing() -> None:
    one = peer("a", "a")
    assert one.tick(1) == []
    twice = [Hearsay(member("a", "other"), 0, True), Hearsay(member("a"), 0, True)]
    one.heard(Digest(Hearsay(member("b"), 0, True), twice, "", 0), 1)
    one.heard(Digest(Hearsay(member("a", "other"), 0, True), [], "a/other", 9), 1)
    assert (sorted(one.roster.members), one.roster.leader, one.roster.term) == (["a", "b"], "a", 1)


def test_the_dead_are_not_brought_back_by_hearsay() -> None:
    room = Room(*(peer(name, "a") for name in "abcd"))
    room.rounds(4)
    del room.peers["ipc:///d"]
    room.rounds(4)
    assert {one[3] for one in room.trace()} == {"abc"}


@pytest.mark.parametrize("seed", range(10))
def test_on_a_bad_network_terms_only_grow_and_afterwards_all_agree(seed: int) -> None:
    room = Room(*(peer(name, "a") for name in "abcde"))
    room.chance = chance = random.Random(seed)
    terms = dict.fromkeys("abcde", 0)
    room.loss = 0.3
    for step in range(100):
        if step % 10 == 0:
            room.cut = {frozenset(chance.sample("abcde", 2)) for _ in range(chance.randrange(6))}
        room.rounds(1)
        for one in room.peers.values():
            assert one._term >= terms[one.own.id]
            terms[one.own.id] = one._term
    room.cut, room.loss = set(), 0.0
    room.rounds(6)
    assert len({one[1:] for one in room.trace()}) == 1
    assert room.trace()[0][1]
    assert room.trace()[0][3] == "abcde"
