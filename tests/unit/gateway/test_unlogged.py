"""A bridge where there is no log."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.bridge import Bridge, Deposed
from gateway.feeds.feed import Item
from gateway.unlogged import Unlogged
from skyhooks.publication import Draft, Position
from tests.unit.gateway.stores import until


class Given:
    """A feed whose cursors are the numbers it gives, and that remembers what it was asked for."""

    def __init__(self, count: int) -> None:
        self.asked: list[str] = []
        self._count = count

    async def items(self, cursor: str) -> AsyncIterator[Item]:
        self.asked.append(cursor)
        for number in range(self._count):
            yield Item(b"%d" % number, str(number))
        await asyncio.Event().wait()


class Heard:
    def __init__(self) -> None:
        self.data: list[tuple[str, bytes]] = []
        self.ids: set[str] = set()

    def publish(self, channel: str, publication_id: str, data: bytes) -> Position:
        self.data.append((channel, data))
        self.ids.add(publication_id)
        return Position("", len(self.data))


async def test_items_are_published_once_each_and_the_control_row_is_not() -> None:
    heard, feed = Heard(), Given(5)
    unlogged = Unlogged(heard.publish)
    leading = asyncio.create_task(Bridge("numbers", feed, unlogged.append, unlogged.head).lead(3))
    await until(lambda: len(heard.data) == 5)
    assert heard.data == [("numbers", b"%d" % number) for number in range(5)]
    assert len(heard.ids) == 5
    leading.cancel()


async def test_a_leader_that_leads_again_begins_with_what_comes_from_then_on() -> None:
    heard, feed = Heard(), Given(2)
    unlogged = Unlogged(heard.publish)
    for term in (3, 5):
        leading = asyncio.create_task(Bridge("numbers", feed, unlogged.append, unlogged.head).lead(term))
        await until(lambda: len(heard.data) % 2 == 0 and len(heard.data) > 0 and len(feed.asked) == (term - 1) // 2)  # noqa: B023
        leading.cancel()
    assert feed.asked == ["", ""]


async def test_this_process_does_not_write_under_an_older_term() -> None:
    heard = Heard()
    unlogged = Unlogged(heard.publish)
    await unlogged.append([Draft(id="new", channels=("numbers",), data=b"1", fence=5)])
    with pytest.raises(Deposed):
        await Bridge("numbers", Given(1), unlogged.append, unlogged.head).lead(4)
    assert heard.data == [("numbers", b"1")]


async def test_channels_have_terms_of_their_own() -> None:
    unlogged = Unlogged(Heard().publish)
    assert await unlogged.head("numbers") is None
    await unlogged.append([Draft(id="a", channels=("numbers",), data=b"1", fence=5)])
    (outcome,) = await unlogged.append([Draft(id="b", channels=("news",), data=b"1", fence=1)])
    assert outcome.status == "stored"
