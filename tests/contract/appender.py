"""What the child processes of the tests do: append to a store, and tell what they were told."""

from multiprocessing.connection import Connection

from skyhooks.store import open_store
from tests.contract.drafts import ACME, draft


def append_batches(url: str, name: str, batches: int, size: int) -> list[tuple[str, str, int]]:
    """Append `batches` of `size` drafts to the account and to a task's channel; id, epoch and offset of each."""
    store = open_store(url)
    told = []
    for n in range(batches):
        drafts = [draft(f"{name}-{n}-{i}", f"tasks/{name}", ACME) for i in range(size)]
        for one, outcome in zip(drafts, store.append(drafts), strict=True):
            position = outcome.positions[ACME]
            told.append((one.id, position.epoch, position.offset))
    store.close()
    return told


def append_shared(url: str, count: int) -> list[tuple[str, int]]:
    """Append the same `count` ids as everyone else; status and offset of each."""
    store = open_store(url)
    outcomes = [store.append([draft(f"p{n}")])[0] for n in range(count)]
    store.close()
    return [(outcome.status, outcome.positions[ACME].offset) for outcome in outcomes]


def append_for_ever(url: str, name: str, told: Connection) -> None:
    """Append batches until killed, and tell of each once it was acknowledged."""
    store = open_store(url)
    n = 0
    while True:
        drafts = [draft(f"{name}-{n}-{i}", f"tasks/{name}", ACME) for i in range(5)]
        outcomes = store.append(drafts)
        told.send([(one.id, outcome.positions[ACME].offset) for one, outcome in zip(drafts, outcomes, strict=True)])
        n += 1
