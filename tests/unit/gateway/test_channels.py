from collections.abc import AsyncIterator

import pytest

from gateway.channels import Published, draft_for
from gateway.hub.encoding import STREAM
from skyhooks.errors import Refused
from skyhooks.publication import Draft, Position
from tests.unit.gateway.connect.stage import Stage

LOGGED = "accounts/a"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.subscriptions.close()


def codes(results: list[Published | Refused]) -> list[str]:
    return [one.code if isinstance(one, Refused) else one.status for one in results]


async def test_each_publication_is_answered_in_its_place(stage: Stage) -> None:
    drafts = [draft_for(LOGGED, b"1", "k"), draft_for("chat", b"2", None), draft_for(LOGGED, b"3", "k")]
    done = await stage.channels.publish(drafts)
    assert codes(done) == ["stored", "sent", "duplicate"]
    first, _, again = done
    assert isinstance(first, Published)
    assert isinstance(again, Published)
    assert first.position == again.position


async def test_a_store_that_is_away_refuses_what_needs_it_and_nothing_else(stage: Stage) -> None:
    stage.store.away = True
    done = await stage.channels.publish([draft_for(LOGGED, b"1", None), draft_for("chat", b"2", None)])
    assert codes(done) == ["store_unavailable", "sent"]


async def test_what_a_bridge_writes_is_not_for_others(stage: Stage) -> None:
    stage.store.append([Draft(id="b", channels=(LOGGED,), data=b"0", fence=3)])
    assert codes(await stage.channels.publish([draft_for(LOGGED, b"1", None)])) == ["fenced"]


async def test_without_anything_to_publish_nothing_is_committed(stage: Stage) -> None:
    assert await stage.channels.publish([]) == []
    assert stage.store.batches == []


async def test_a_node_that_drains_takes_no_subscribers(stage: Stage) -> None:
    stage.draining = True
    with pytest.raises(Refused) as refused:
        await stage.channels.subscribe(LOGGED, STREAM, None)
    assert refused.value.code == "draining"


async def test_a_position_from_elsewhere_needs_the_log(stage: Stage) -> None:
    stage.store.away = True
    with pytest.raises(Refused) as refused:
        await stage.channels.subscribe(LOGGED, STREAM, Position("e", 5))
    assert (refused.value.code, refused.value.status) == ("store_unavailable", 503)


async def test_names_are_checked(stage: Stage) -> None:
    with pytest.raises(Refused, match="bad_channel"):
        await stage.channels.subscribe("a//b", STREAM, None)
    with pytest.raises(Refused, match="bad_channel"):
        draft_for("a//b", b"1", None)
    with pytest.raises(Refused, match="bad_id"):
        draft_for(LOGGED, b"1", "ö")
