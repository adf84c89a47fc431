"""What a channel shows, short enough to compare."""

from skyhooks.store.base import Store
from tests.contract.drafts import ACME


def ids(store: Store, channel: str = ACME) -> list[str]:
    """The ids of all publications of a channel that have data, in order."""
    return [publication.id for publication in store.read(channel, 0, limit=10_000).publications]
