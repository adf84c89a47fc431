"""What goes into a page."""

import pytest

from skyhooks.publication import Publication
from skyhooks.store.paging import up_to

PUBLICATIONS = [Publication(str(n), n, b"x" * 10) for n in range(1, 4)]


@pytest.mark.parametrize(("size", "count"), [(30, 3), (29, 2), (20, 2), (19, 1), (10, 1), (9, 1), (0, 1)])
def test_a_page_has_no_more_than_the_size_but_at_least_one(size: int, count: int) -> None:
    assert up_to(size, PUBLICATIONS) == tuple(PUBLICATIONS[:count])


def test_a_page_of_nothing_is_empty() -> None:
    assert up_to(100, []) == ()


def test_no_more_is_taken_than_the_one_that_does_not_fit() -> None:
    rest = iter(PUBLICATIONS)
    up_to(10, rest)
    assert [publication.offset for publication in rest] == [3]
