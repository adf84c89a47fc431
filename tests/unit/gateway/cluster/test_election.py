import msgspec
import pytest

from gateway.cluster.election import Election, Step, member_of
from gateway.cluster.roster import Member
from skyhooks.store.base import Lease

TTL = 3.0


def node(name: str, **info: object) -> Lease:
    told = {"url": f"http://{name}", **info}
    return Lease(f"nodes/{name}", name, 1, 9.0, msgspec.json.encode(told).decode())


def leader(holder: str, term: int, left: float = TTL) -> Lease:
    return Lease("leader", holder, term, left)


def view(election: Election) -> tuple[list[str], str, int]:
    roster = election.roster
    return sorted(roster.members), roster.leader, roster.term


@pytest.fixture
def election() -> Election:
    return Election("a", "run", TTL)


def test_a_node_stands_when_nobody_leads_and_leads_when_the_store_agrees(election: Election) -> None:
    assert election.observed([node("a"), node("b")], 0) is Step.STAND
    assert view(election) == (["a", "b"], "", 0)
    election.answered(leader("a/run", 7), 0)
    assert view(election) == (["a", "b"], "a", 7)
    assert election.observed([node("a"), leader("a/run", 7)], 1) is Step.RENEW
    election.answered(leader("a/run", 7), 1)
    assert view(election) == (["a"], "a", 7)


def test_a_node_follows_whoever_leads(election: Election) -> None:
    assert election.observed([node("b"), leader("b/x", 3)], 0) is Step.FOLLOW
    assert view(election) == (["b"], "b", 3)


def test_whoever_asks_too_late_follows(election: Election) -> None:
    assert election.observed([], 0) is Step.STAND
    election.answered(None, 0)
    assert view(election) == ([], "", 0)


def test_a_leader_counts_itself_deposed_before_its_lease_has_run_out(election: Election) -> None:
    election.answered(leader("a/run", 7), 10)
    election.tick(10 + TTL * 0.89)
    assert election.leads
    election.tick(10 + TTL * 0.91)
    assert not election.leads


def test_the_time_counts_from_before_the_request(election: Election) -> None:
    election.answered(leader("a/run", 7), 10)
    assert election.until < 10 + TTL


def test_another_s_leadership_is_not_believed_in_for_longer_than_it_had_left(election: Election) -> None:
    election.observed([node("b"), leader("b/x", 3, left=1.5)], 10)
    election.tick(11)
    assert view(election) == (["b"], "b", 3)
    election.tick(12)
    assert view(election) == (["b"], "", 0)


def test_a_leader_that_was_replaced_while_it_slept_follows(election: Election) -> None:
    election.answered(leader("a/run", 7), 0)
    assert election.observed([leader("b/x", 8)], 100) is Step.FOLLOW
    assert view(election) == ([], "b", 8)


def test_a_leader_that_another_has_ousted_before_it_renewed_stops(election: Election) -> None:
    election.answered(leader("a/run", 7), 0)
    election.observed([leader("a/run", 7)], 1)
    election.answered(None, 1)
    assert view(election) == ([], "", 0)


def test_an_earlier_run_of_the_same_node_is_somebody_else(election: Election) -> None:
    assert election.observed([node("a", incarnation="run"), leader("a/before", 3)], 0) is Step.FOLLOW
    assert view(election) == (["a"], "", 0)


def test_nobody_leads_while_the_lease_of_a_run_that_has_ended_is_still_in_force(election: Election) -> None:
    election.observed([node("b", incarnation="new"), leader("b/before", 3)], 0)
    assert view(election) == (["b"], "", 0)
    election.observed([node("b", incarnation="new"), leader("b/new", 4)], 0)
    assert view(election) == (["b"], "b", 4)


def test_after_doubt_the_store_says_whether_the_term_still_holds(election: Election) -> None:
    election.answered(leader("a/run", 7), 0)
    election.tick(TTL)
    assert election.observed([leader("a/run", 7, left=0.1)], TTL) is Step.RENEW
    assert not election.leads
    election.answered(leader("a/run", 8), TTL)
    assert view(election) == ([], "a", 8)


def test_whoever_has_retired_stands_no_more(election: Election) -> None:
    election.answered(leader("a/run", 7), 0)
    election.retire()
    assert not election.leads
    assert election.observed([], 1) is Step.FOLLOW
    assert not election.may_hold


def test_whoever_has_retired_gives_back_whatever_the_store_shows_in_its_name(election: Election) -> None:
    assert election.observed([], 0) is Step.STAND
    assert election.may_hold, "the request may arrive"
    election.retire()
    election.answered(leader("a/run", 9), 1)
    assert not election.leads
    assert election.may_hold
    for term in (9, 10):
        assert election.observed([leader("a/run", term)], 2) is Step.GIVE_BACK
        assert election.held == term


def test_whoever_retires_as_a_follower_has_nothing_to_give_back(election: Election) -> None:
    assert not election.may_hold
    election.observed([], 0)
    election.answered(None, 0)
    assert not election.may_hold
    election.observed([], 1)
    election.observed([leader("b/x", 3)], 2)
    assert not election.may_hold


@pytest.mark.parametrize(
    "lease",
    [
        leader("a/x", 1),
        node("app", role="app"),
        Lease("nodes/b", "b", 1, 9.0, "not JSON"),
        Lease("nodes/b", "b", 1, 9.0, '{"url": 7}'),
        Lease("nodes/b", "b", 1, 9.0, "{}"),
    ],
)
def test_what_is_no_gateway_is_no_member(lease: Lease) -> None:
    assert member_of(lease) is None


def test_a_member_is_what_its_lease_tells() -> None:
    lease = node("b", open=True, mesh="ipc:///m", rpc="ipc:///r", journal="ipc:///j", key="k", incarnation="i", new=1)
    assert member_of(lease) == Member("b", "http://b", "ipc:///m", "ipc:///r", "ipc:///j", "k", "i")
