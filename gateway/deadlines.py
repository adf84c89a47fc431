"""The leader's duty to end tasks that nobody else will end: those past their deadline, and those that never began.

Theory of operation. Whoever submits a task has stored by when it has to have ended, and by when it has to have begun.
While a node leads it looks for deadlines whose time has come, and at the task's own channel. One that holds the end is
done with. One that does not is appended the end of the task, with the id that every end of the task has.

Under its term, and without a fence. A fence on ``tasks/…`` would add nothing, because the first end closes that channel
for everyone; one on ``accounts/…`` would lock out every worker, whose appends carry none. It is not needed either: a
leader that was deposed and does not know it writes the same id that the new one writes, and the log takes it once. The
log decides in the same way between the leader and a worker that ends the task in that moment.

What it cannot know: whether a task runs that has said nothing. So a deadline is what the submitter declared, and no
guess; and a task with a time by which it has to begin says so as it begins (`skyhooks.celery`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal

import structlog

from skyhooks.channel import account_channel, task_channel
from skyhooks.errors import Refused, StoreError
from skyhooks.event import TaskError, TaskEvent, encode_event
from skyhooks.publication import Draft, Outcome, TaskMark
from skyhooks.store.base import AsyncStore, Deadline

log = structlog.get_logger()

ROUND: Final = 100
"""Deadlines that are looked at together."""
MESSAGE_BYTES: Final = 16_384
"""More than any event here has."""

Append = Callable[[Sequence[Draft]], Awaitable[list[Outcome]]]


class Deadlines:
    """Ends tasks whose time has come, through `append` of the log; looks every `pause` seconds.

    A task's channel is forgotten `remembered` seconds after its newest publication at the earliest: an empty channel
    tells nothing of a task that is older. `clock` gives the time that the events carry.
    """

    def __init__(
        self, store: AsyncStore, append: Append, *, pause: float, remembered: float, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._append = append
        self._pause = pause
        self._remembered = remembered
        self._clock = clock

    async def lead(self, term: int) -> None:
        """End what is overdue until cancelled; that may be done at any moment. What the store cannot do now waits."""
        while True:
            try:
                while await self.look(term) == ROUND:
                    pass
            except (StoreError, Refused) as error:
                log.warning("deadlines_wait", error=str(error), seconds=self._pause)
            await asyncio.sleep(self._pause)

    async def look(self, term: int) -> int:
        """One round; how many deadlines were settled.

        Raises `StoreError` and `Refused` (too much waits to be committed); the same ones are found again then.
        """
        overdue = await self._store.overdue(ROUND)
        missed = [one for one in overdue if await self._is_missed(one)]
        if missed:
            outcomes = await self._append([draft_of(one, self._clock()) for one in missed])
            for one, outcome in zip(missed, outcomes, strict=True):
                log.info("task_ended", task_id=one.task_id, code=one.reason, status=outcome.status, term=term)
        if overdue:
            # Settled only now: who dies before this leaves it to the next leader, whose ends are duplicates.
            await self._store.settle_deadlines(overdue)
        return len(overdue)

    async def _is_missed(self, one: Deadline) -> bool:
        stage = await self._stage(one.task_id)
        if stage == "silent" and one.age >= self._remembered:
            # Everything was down for that long. Its end may have been published and forgotten: better none than two.
            log.warning("deadline_too_old", task_id=one.task_id, age=round(one.age))
            return False
        return stage == "silent" or (stage == "begun" and one.reason == "deadline")

    async def _stage(self, task_id: str) -> Literal["silent", "begun", "ended"]:
        """What the task's channel tells; the end of a task is the newest row there."""
        channel = task_channel(task_id)
        head = await self._store.head(channel)
        if head is None:
            return "silent"
        newest = (await self._store.read(channel, head.offset - 1, 1)).publications
        return "ended" if newest and newest[-1].id == _end_id(task_id) else "begun"


def draft_of(one: Deadline, at: float) -> Draft:
    """The end of a task that missed `one`, for the task's channel and, with an account, for the account's."""
    expired = one.reason == "expired"
    state = "REVOKED" if expired else "FAILURE"
    account = (account_channel(one.account),) if one.account else ()
    event = TaskEvent(
        task_id=one.task_id,
        task=one.task,
        state=state,
        at=at,
        account=one.account,
        # As a worker says it that finds an expired task; a deadline is known to us only.
        error=TaskError("TaskRevokedError", "expired", one.reason)
        if expired
        else TaskError(
            "DeadlineExceeded", f"no end was heard of within {one.seconds:g} s of its submission", one.reason
        ),
        end=True,
    )
    return Draft(
        id=_end_id(one.task_id),
        channels=(task_channel(one.task_id), *account),
        data=encode_event(event, MESSAGE_BYTES),
        task=TaskMark("", 0, state),
    )


def _end_id(task_id: str) -> str:
    """The id of every end of a task, whoever says it (design, section 8)."""
    return f"{task_id}:end"
