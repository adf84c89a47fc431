"""What nodes say of themselves, and what one can ask of another."""

from pathlib import Path

import msgspec
import pytest

from gateway.cluster.census import JournalQuery
from gateway.cluster.roster import Member, Roster
from skyhooks.errors import Refused
from skyhooks.store.base import JournalEntry
from tests.unit.gateway.cluster.stations import Station, stations


def forget(station: Station, *names: str) -> None:
    """These nodes are gone without a word: others still have them on the roster."""
    members = dict(station.roster.members)
    for name in names:
        members[name] = Member(name, f"http://{name}:8080", rpc="ipc:///nonexistent/socket")
    station.roster = Roster(members, station.roster.leader, station.roster.term)


async def test_every_node_is_shown_in_its_own_words(tmp_path: Path) -> None:
    async with stations(tmp_path, "n2", "n1", "n3", leader="n3") as (two, one, three):
        one.subscribers = {"numbers": 5}
        three.roster = msgspec.structs.replace(three.roster, term=4)
        found = await two.census.nodes()
    assert (found.asked, found.leader, found.term) == ("n2", "n3", 3)
    assert [(node.id, node.leads, node.error) for node in found.nodes] == [
        ("n1", False, ""),
        ("n2", False, ""),
        ("n3", True, ""),
    ]
    said = [node.status for node in found.nodes if node.status]
    assert [(status.id, status.subscribers, status.term, status.nodes) for status in said] == [
        ("n1", 5, 3, 3),
        ("n2", 0, 3, 3),
        ("n3", 0, 4, 3),
    ]


async def test_a_node_that_does_not_answer_is_shown_as_such(tmp_path: Path) -> None:
    async with stations(tmp_path, "n1", "n2", leader="n9", seconds=0.3) as (one, _):
        forget(one, "n9")
        found = await one.census.nodes()
    gone = found.nodes[-1]
    assert (gone.id, gone.leads, gone.status, gone.error) == ("n9", True, None, "no answer within 0.3 s")
    assert [node.id for node in found.nodes if node.status] == ["n1", "n2"]


async def test_a_node_without_a_roster_shows_itself(tmp_path: Path) -> None:
    async with stations(tmp_path, "n1") as (one,):
        one.roster = Roster()
        found = await one.census.nodes()
    assert [node.id for node in found.nodes] == ["n1"]
    assert found.leader == ""


async def test_presence_is_summed_and_names_whom_it_does_not_know_of(tmp_path: Path) -> None:
    async with stations(tmp_path, "n1", "n2", "n3", seconds=0.3) as (one, two, three):
        for station, count in ((one, 1), (two, 20), (three, 300)):
            station.subscribers = {"numbers": count, "other": 7}
        everyone = await one.census.presence("numbers")
        forget(one, "n2")
        without = await one.census.presence("numbers")
        nobody = await three.census.presence("empty")
    assert (everyone.subscribers, everyone.nodes, everyone.unknown) == (321, {"n1": 1, "n2": 20, "n3": 300}, {})
    assert (without.subscribers, without.nodes) == (301, {"n1": 1, "n3": 300})
    assert without.unknown == {"n2": "no answer within 0.3 s"}
    assert nobody.subscribers == 0


async def test_a_node_or_the_leader_is_told_to_drain(tmp_path: Path) -> None:
    async with stations(tmp_path, "n1", "n2", "n3", leader="n3") as (one, two, three):
        assert (await one.census.drain("n2")).id == "n2"
        assert (one.drained, two.drained, three.drained) == (0, 1, 0)
        assert (await one.census.drain("leader")).id == "n3"
        assert (await one.census.drain("n1")).id == "n1"
        assert (one.drained, two.drained, three.drained) == (1, 1, 1)


async def test_who_cannot_be_drained_is_said(tmp_path: Path) -> None:
    async with stations(tmp_path, "n1", "n2", seconds=0.3) as (one, two):
        forget(one, "n9")
        for name, code, status in (
            ("n8", "unknown_node", 404),
            ("leader", "unknown_node", 404),
            ("n9", "node_silent", 504),
        ):
            with pytest.raises(Refused) as caught:
                await one.census.drain(name)
            assert (caught.value.code, caught.value.status) == (code, status)

        async def fail(_: object) -> None:
            raise Refused("not_now", "it starts")

        two.rpc.handle("drain", fail)
        with pytest.raises(Refused) as caught:
            await one.census.drain("n2")
        assert (caught.value.code, caught.value.status) == ("node_failed", 502)
        assert "it starts" in caught.value.detail


async def test_the_journal_can_be_asked_of_any_node(tmp_path: Path) -> None:
    async with stations(tmp_path, "n1", "n2") as (one, two):
        two.memory.add_journal([JournalEntry(event=name, node="w", account="acme", task_id=name) for name in "ab"])
        query = JournalQuery(account="acme", task_id="b")
        found = await one.rpc.ask(two.member, "journal", query, 5.0, list[JournalEntry])
    assert [(entry.event, entry.at > 0) for entry in found] == [("b", True)]
