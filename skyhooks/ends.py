"""Whether a task has ended as far as anybody has been told: whether its end is in the log."""

from skyhooks.channel import task_channel
from skyhooks.errors import Refused
from skyhooks.store.base import LogStore


def has_ended(store: LogStore, task_id: str) -> bool:
    """Whether the end of a task is in its channel, where it is the newest row; never for an id that has no channel.

    Raises `StoreUnavailable`.
    """
    try:
        channel = task_channel(task_id)
    except Refused:
        return False
    head = store.head(channel)
    if head is None:
        return False
    newest = store.read(channel, head.offset - 1, 1).publications
    return bool(newest) and newest[-1].id == f"{task_id}:end"
