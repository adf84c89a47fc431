"""Scripts: who says what to whom when, and what each then believes. Then a thousand seconds of a bad network."""

import random

import pytest

from gateway.cluster.gossip import Digest, Hearsay, Peer
from gateway.cluster.roster import Member

SILENCE = 3.0


def member(name: str, run: str = "1") -> Member:
    return Member(name, f"http://{name}", rpc=f"ipc:///{name}", incarnation=run)


def peer(name: str, *join: str, run: str = "1") -> Peer:
    return Peer(member(name, run), [f"ipc:///{one}" for one in join], silence=SILENCE, born=float(run))


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
        other.heard(one.digest(), self.now)
        if not self.lost():
            one.heard(other.digest(), self.now)

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
    room.peers["ipc:///a"].heard(leaving.digest(), room.now)
    room.rounds(1)
    assert room.trace()[0] == ("a", "a", 1, "ab")


def test_its_own_name_in_what_others_say_changes_nothing() -> None:
    one = peer("a", "a")
    assert one.tick(1) == []
    twice = [Hearsay(member("a", "other"), 0, 9, True), Hearsay(member("a"), 0, 9, True)]
    one.heard(Digest(Hearsay(member("b"), 0, 1, True), twice, "", 0), 1)
    one.heard(Digest(Hearsay(member("a", "other"), 0, 9, True), [], "a/other", 9), 1)
    assert (sorted(one.roster.members), one.roster.leader, one.roster.term) == (["a", "b"], "a", 1)


def test_the_dead_are_not_brought_back_by_hearsay() -> None:
    room = Room(*(peer(name, "a") for name in "abcd"))
    room.rounds(4)
    del room.peers["ipc:///d"]
    room.rounds(4)
    assert {one[3] for one in room.trace()} == {"abc"}


def test_hearsay_that_is_long_on_its_way_keeps_nobody_alive() -> None:
    one, other = peer("a"), peer("b", "a")
    one.heard(Digest(Hearsay(member("b"), 1, 1, True), [Hearsay(member("dead"), 0, 7, True)], "", 0), 0.0)
    for step in range(50):  # a tenth of a heartbeat each, and each has what the other has said just now
        now = step / 10
        for teller, listener in ((one, other), (other, one)):
            if step % 10 == 0:
                teller.tick(now)
            listener.heard(teller.digest(), now + 0.09)
    assert sorted(one.roster.members) == sorted(other.roster.members) == ["a", "b"]


def test_a_later_run_is_news_and_an_earlier_one_is_not() -> None:
    one = peer("a")
    one.tick(0)
    one.heard(Digest(Hearsay(member("b", "2"), 2, 1, True), [], "", 0), 0)
    one.heard(Digest(Hearsay(member("c"), 0, 1, True), [Hearsay(member("b", "1"), 1, 99, True)], "", 0), 1)
    assert one.roster.members["b"].incarnation == "2"
    one.heard(Digest(Hearsay(member("c"), 0, 2, True), [Hearsay(member("b", "3"), 3, 0, True)], "", 0), 1)
    assert one.roster.members["b"].incarnation == "3"


def asleep(room: Room, name: str, rounds: int) -> None:
    """A peer does nothing for so many heartbeats, and hears nothing."""
    endpoint = f"ipc:///{name}"
    sleeper = room.peers.pop(endpoint)
    room.rounds(rounds)
    room.peers[endpoint] = sleeper


def test_a_follower_that_was_asleep_does_not_take_over() -> None:
    room = Room(peer("b"), peer("c", "b"), peer("a", "b"))
    room.rounds(3)
    asleep(room, "a", 5)
    room.peers["ipc:///a"].tick(room.now)
    assert room.peers["ipc:///a"].roster.leader == "b", "what it heard last"
    room.rounds(2)
    assert {one[1:] for one in room.trace()} == {("b", 1, "abc")}


def test_a_leader_that_was_asleep_leads_no_more_and_follows_the_new_one() -> None:
    room = Room(peer("a"), peer("b", "a"), peer("c", "a"))
    room.rounds(3)
    asleep(room, "a", 5)
    sleeper = room.peers["ipc:///a"]
    sleeper.tick(room.now)
    assert sleeper.roster.leader == ""
    room.rounds(2)
    assert {one[1:] for one in room.trace()} == {("b", 2, "abc")}


def test_what_was_said_while_a_leader_slept_does_not_make_it_lead_again() -> None:
    room = Room(peer("a"), peer("b", "a"), peer("c", "a"))
    room.rounds(3)
    sleeper, unread = room.peers["ipc:///a"], room.peers["ipc:///b"].digest()
    asleep(room, "a", 5)
    trace = []
    sleeper.tick(room.now)
    trace.append(("wakes", sleeper.roster.leader, sleeper.roster.term))
    sleeper.heard(unread, room.now)
    trace.append(("reads what b said before", sleeper.roster.leader, sleeper.roster.term))
    room.pass_on(sleeper, "ipc:///b")
    trace.append(("asks b", sleeper.roster.leader, sleeper.roster.term))
    assert trace == [("wakes", "", 0), ("reads what b said before", "", 0), ("asks b", "b", 2)]


def test_a_leader_that_was_asleep_leads_again_when_they_still_follow_it() -> None:
    room = Room(peer("a"), peer("b", "a"))
    room.rounds(3)
    sleeper = room.peers["ipc:///a"]
    sleeper.tick(room.now + SILENCE)  # and b, which was asleep as well, has not missed it
    assert sleeper.roster.leader == ""
    room.pass_on(sleeper, "ipc:///b")
    assert {one[1:] for one in room.trace()} == {("a", 1, "ab")}


def test_when_all_were_asleep_everything_is_as_before() -> None:
    room = Room(peer("a"), peer("b", "a"))
    room.rounds(3)
    room.now += 100
    room.rounds(2)
    assert {one[1:] for one in room.trace()} == {("a", 1, "ab")}


def test_one_that_slept_alone_goes_on_leading() -> None:
    room = Room(peer("a"))
    room.rounds(1)
    room.now += 100
    room.rounds(1)
    assert room.trace() == [("a", "a", 1, "a")]


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
