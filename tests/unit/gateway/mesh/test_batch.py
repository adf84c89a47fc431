"""What one turn of the loop gathers for a channel."""

from gateway.mesh.batch import ENVELOPE, Batch, weight
from skyhooks.publication import Publication


def publication(offset: int, size: int = 1) -> Publication:
    return Publication(f"{offset}", offset, b"1" * size)


def offsets(batch: Batch) -> list[int]:
    return [one.offset for one in batch.publications]


def test_publications_that_follow_each_other_travel_together() -> None:
    batch = Batch("e", 1000)
    assert all(batch.take(publication(offset)) for offset in (7, 8, 9))
    assert (offsets(batch), batch.head) == ([7, 8, 9], 0)


def test_one_that_does_not_follow_belongs_into_another_batch() -> None:
    for other in (7, 6, 9):
        batch = Batch("e", 1000)
        batch.take(publication(7))
        assert not batch.take(publication(other))
        assert offsets(batch) == [7]


def test_with_a_log_more_than_the_limit_is_only_announced() -> None:
    batch = Batch("e", 3 * weight(publication(1)))
    for offset in (1, 2, 3):
        assert batch.take(publication(offset))
    assert (offsets(batch), batch.head) == ([1, 2, 3], 0)
    assert batch.take(publication(4))
    assert (offsets(batch), batch.head) == ([], 4)
    assert batch.take(publication(5))
    assert (offsets(batch), batch.head) == ([], 5)


def test_without_a_log_more_than_the_limit_fills_another_batch() -> None:
    batch = Batch("", 2 * weight(publication(1)))
    assert batch.take(publication(1))
    assert batch.take(publication(2))
    assert not batch.take(publication(3))
    assert (offsets(batch), batch.head) == ([1, 2], 0)


def test_without_a_log_one_that_is_larger_than_the_limit_travels_alone() -> None:
    batch = Batch("", 10 + ENVELOPE)
    assert batch.take(publication(1, 100))
    assert offsets(batch) == [1]
    assert not batch.take(publication(2))


def test_a_head_is_announced_only_when_the_publications_do_not_say_it() -> None:
    batch = Batch("e", 1000)
    batch.announce(8)
    batch.announce(5)
    assert (offsets(batch), batch.head) == ([], 8)
    batch.take(publication(7))
    assert (offsets(batch), batch.head) == ([7], 8)
    batch.take(publication(8))
    assert (offsets(batch), batch.head) == ([7, 8], 0)
    batch.announce(8)
    assert batch.head == 0
    batch.announce(9)
    assert batch.head == 9
