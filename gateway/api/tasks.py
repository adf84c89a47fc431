"""``/api/tasks``: what may be submitted, and submitting it."""

from typing import Annotated, Any

import msgspec

from gateway.api.handler import ApiHandler
from gateway.settings import MOST_DEADLINE
from gateway.submit import Terms
from skyhooks.channel import account_name


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a submission: the task's arguments, the account that shall see its results, and its `Terms`."""

    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    account: str | int | float | None = None
    deadline: Annotated[float, msgspec.Meta(ge=0, le=MOST_DEADLINE)] | None = None
    expires: Annotated[float, msgspec.Meta(gt=0, le=MOST_DEADLINE)] | None = None


_submission = msgspec.json.Decoder(Submission)


class TasksHandler(ApiHandler):
    """``GET /api/tasks``."""

    def get(self) -> None:
        """List the tasks on offer, each with arguments to start from."""
        self.query(())
        self.answer({"tasks": self.control.tasks()})

    head = get


class TaskHandler(ApiHandler):
    """``POST /api/tasks/<name>``."""

    async def post(self, name: str) -> None:
        """Submit a task: 202 with its id, its channels, and the positions from which to watch them."""
        self.query(())
        asked = self.body(_submission, '{"args": [], "kwargs": {}, "account": "acme"}')
        account = None if asked.account is None else account_name(asked.account)
        terms = Terms(asked.deadline, asked.expires)
        self.answer(await self.control.submit(name, asked.args, asked.kwargs, account, terms), 202)
