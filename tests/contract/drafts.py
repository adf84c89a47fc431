"""Drafts for tests, written short."""

from skyhooks.publication import Draft, TaskMark

ACME = "accounts/acme"
TASK = "tasks/t1"
BOTH = (TASK, ACME)


def draft(name: str, *channels: str, data: bytes = b'"x"', fence: int = 0, cursor: str = "") -> Draft:
    """A draft called `name` for `channels` (for an account without any)."""
    return Draft(id=name, channels=channels or (ACME,), data=data, fence=fence, cursor=cursor)


def marked(name: str, run: str, retries: int, state: str, *channels: str) -> Draft:
    """A draft that tells of a task."""
    return Draft(id=name, channels=channels or (TASK,), data=b'"x"', task=TaskMark(run, retries, state))
