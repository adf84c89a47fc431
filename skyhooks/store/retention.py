"""What retention may take from a channel: the rule that all stores share. Times are seconds since 1970."""

from skyhooks.channel import TASKS, Retention


def spare_data(retention: Retention, *, offset: int, head: int, kept: int, at: float, now: float) -> bool:
    """Whether the oldest row that has data may lose it.

    `at` is when it was appended, `kept` how many bytes of data the channel has from it on, `head` the newest offset.
    The newest row loses its data only by age, so that a single large publication can still be read.
    """
    if at < now - retention.age:
        return True
    return offset < head and (offset <= head - retention.count or kept > retention.size)


def spare_id(retention: Retention, namespace: str, *, offset: int, head: int, at: float, now: float) -> bool:
    """Whether the oldest row of a channel, whose data is gone, may be forgotten with its id."""
    return namespace != TASKS and offset < head and at < now - retention.dedupe


def spare_channel(retention: Retention, namespace: str, *, newest: float, now: float) -> bool:
    """Whether a channel may go as a whole, whose newest row was appended at `newest`: only a task's own does."""
    return namespace == TASKS and newest < now - max(retention.age, retention.dedupe)
