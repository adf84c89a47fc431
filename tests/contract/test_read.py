"""`LogStore.read`: pages of a channel."""

import pytest

from skyhooks.channel import Retention
from skyhooks.store.base import Page, Store
from tests.contract.drafts import ACME, draft


def fill(store: Store, count: int, size: int = 3) -> str:
    outcomes = store.append([draft(f"p{n}", data=b"x" * size) for n in range(1, count + 1)])
    return outcomes[0].positions[ACME].epoch


def offsets(page: Page) -> list[int]:
    return [publication.offset for publication in page.publications]


def test_a_channel_without_history_gives_an_empty_page(store: Store) -> None:
    assert store.read(ACME, 0) == Page("", 0, 0)
    assert store.read(ACME, 5) == Page("", 0, 5)


def test_a_page_begins_after_the_offset_that_was_asked_for(store: Store) -> None:
    epoch = fill(store, 5)
    page = store.read(ACME, 3)
    assert (page.epoch, page.head, page.after, offsets(page)) == (epoch, 5, 3, [4, 5])


@pytest.mark.parametrize("after", [5, 9])
def test_nothing_lies_beyond_the_head(store: Store, after: int) -> None:
    epoch = fill(store, 5)
    assert store.read(ACME, after) == Page(epoch, 5, after)


def test_a_page_has_no_more_than_the_limit(store: Store) -> None:
    fill(store, 5)
    assert offsets(store.read(ACME, 1, limit=3)) == [2, 3, 4]


@pytest.mark.parametrize(("size", "count"), [(100, 5), (50, 5), (49, 4), (20, 2), (19, 1), (10, 1), (9, 1), (0, 1)])
def test_a_page_has_no_more_data_than_the_size_but_at_least_one(store: Store, size: int, count: int) -> None:
    fill(store, 5, size=10)
    assert len(store.read(ACME, 0, size=size).publications) == count


def test_pages_join_without_a_hole(store: Store) -> None:
    fill(store, 23)
    seen: list[int] = []
    while len(seen) < 23:
        seen += offsets(store.read(ACME, len(seen), limit=7, size=15))
    assert seen == list(range(1, 24))


def test_data_comes_back_byte_for_byte(store: Store) -> None:
    data = '{"a":"ü\\u0000 \u2028"}'.encode()
    store.append([draft("p", data=data), draft("empty", data=b"")])
    assert [publication.data for publication in store.read(ACME, 0).publications] == [data, b""]


@pytest.mark.parametrize("after", [0, 1, 3])
def test_what_retention_dropped_is_one_gap(store: Store, after: int) -> None:
    fill(store, 5)
    store.trim("accounts", Retention(count=2))
    page = store.read(ACME, after)
    assert (page.after, offsets(page)) == (3, [4, 5])


def test_a_position_behind_the_gap_sees_none(store: Store) -> None:
    fill(store, 5)
    store.trim("accounts", Retention(count=2))
    page = store.read(ACME, 4)
    assert (page.after, offsets(page)) == (4, [5])
