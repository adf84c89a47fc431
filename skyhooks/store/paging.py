"""How much of a channel goes into one page: the rule that all stores share."""

from collections.abc import Iterable

from skyhooks.publication import Publication


def up_to(size: int, publications: Iterable[Publication]) -> tuple[Publication, ...]:
    """The first publications that have no more than `size` bytes of data together, but at least one."""
    page: list[Publication] = []
    for publication in publications:
        size -= len(publication.data)
        if size < 0 and page:
            break
        page.append(publication)
    return tuple(page)
