"""``/api/tasks``: what may be submitted, and submitting it."""

from typing import Any

import msgspec

from gateway.api.handler import ApiHandler
from skyhooks.channel import account_name


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a submission: the task's arguments, and the account that shall see its results."""

    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    account: str | int | float | None = None


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
        self.answer(await self.control.submit(name, asked.args, asked.kwargs, account), 202)
