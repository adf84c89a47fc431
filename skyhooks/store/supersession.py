"""Which executions of a task may still speak: the rule for late and repeated runs, shared by all stores.

A task may run more than once: it retries, or the broker delivers it again while an older run is still alive. The first
end closes the task's channel. Until then the newest run is heard, and an older one only with its SUCCESS (design,
section 8).
"""

from collections.abc import Callable

import msgspec

from skyhooks.publication import TaskMark


class TaskHistory(msgspec.Struct, frozen=True):
    """What a task's channel has seen: whether the task has `ended`, its newest `run` and that run's newest `retries`.

    `run` is empty while no publication has named one.
    """

    ended: bool = False
    run: str = ""
    retries: int = 0

    def after(self, mark: TaskMark) -> "TaskHistory":
        """The history once a publication with `mark` is stored."""
        ended = self.ended or mark.end
        return TaskHistory(ended, mark.run, mark.retries) if mark.run else TaskHistory(ended, self.run, self.retries)

    def supersedes(self, mark: TaskMark, seen: Callable[[str], bool]) -> bool:
        """Whether a publication with `mark` comes too late; `seen` tells whether the channel has had a run before."""
        if self.ended:
            return True
        if not mark.run or mark.run == self.run or not self.run or mark.state == "SUCCESS":
            return False
        return mark.retries < self.retries or seen(mark.run)
