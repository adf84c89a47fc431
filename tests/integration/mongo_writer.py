"""What writes to the store while its primary changes: appends until told to stop, and repeats what had no answer."""

from multiprocessing.synchronize import Event
from typing import NamedTuple

from skyhooks.errors import StoreUnavailable
from skyhooks.publication import Draft, Outcome
from skyhooks.store import open_store
from skyhooks.store.base import Store

ACME = "accounts/acme"
SIZES = (4, 1, 7, 2)


class Told(NamedTuple):
    """What a writer was told of one draft."""

    id: str
    status: str
    offset: int


class Record(NamedTuple):
    """Everything that a writer was told, in its order, and how often it had to ask again."""

    told: list[Told]
    repeated: int


def write(url: str, name: str, stop: Event, started: Event) -> Record:
    """Append batches to the account and to a task's channel until `stop`."""
    store = open_store(url)
    record: list[Told] = []
    repeated = batch = 0
    while not stop.is_set():
        drafts = [
            Draft(id=f"{name}-{batch}-{i}", channels=(f"tasks/{name}", ACME), data=b"1")
            for i in range(SIZES[batch % len(SIZES)])
        ]
        outcomes, more = _append(store, drafts)
        record += [Told(d.id, o.status, o.positions[ACME].offset) for d, o in zip(drafts, outcomes, strict=True)]
        repeated += more
        batch += 1
        if batch == 3:
            started.set()
    store.close()
    return Record(record, repeated)


def _append(store: Store, drafts: list[Draft]) -> tuple[list[Outcome], int]:
    repeated = 0
    while True:
        try:
            return store.append(drafts), repeated
        except StoreUnavailable:
            repeated += 1
