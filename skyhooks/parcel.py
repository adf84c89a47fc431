"""One result on its way from a worker: the webhook for a gateway and the value for Celery's results, with what has
been done of it.
"""

import threading

import msgspec

from skyhooks.channel import TASKS
from skyhooks.webhook import parse_webhook


class StoredResult(msgspec.Struct, frozen=True):
    """A value for Celery's own results: `ttl` is in seconds, None keeps it for ever."""

    key: str
    value: bytes
    ttl: float | None


class Contents(msgspec.Struct, frozen=True):
    """What a parcel carries, as it is spooled. `webhook` is one line of JSON, empty when nothing is published."""

    webhook: bytes
    result: StoredResult | None = None


class Parcel:
    """A result on its way, and how far it has come.

    A parcel with a `slot` may be dropped, and gives way to a newer one with the same slot; one without must arrive.
    """

    __slots__ = (
        "_done",
        "account",
        "contents",
        "ended",
        "kept",
        "published",
        "runtime",
        "slot",
        "stored",
        "task_id",
        "waited",
        "webhook",
    )

    def __init__(self, contents: Contents, slot: str = "", runtime: float | None = None) -> None:
        self.contents = contents
        self.slot = slot
        self.runtime = runtime
        """For how many seconds the task ran; None where that is not known."""
        self.webhook = contents.webhook
        self.published = not contents.webhook
        self.stored = contents.result is None
        self.waited = False
        """Whether somebody blocks until it is settled, and will spool it if it takes too long."""
        self.kept = False
        """Whether a copy is in the spool."""
        self._done = threading.Event()
        webhook = parse_webhook(self.webhook) if self.webhook else None
        keys = webhook.keys if webhook else {}
        self.account = str(keys.get("account_id", ""))
        self.task_id = str(keys.get("task_id", ""))
        self.ended = webhook.task.state if webhook and webhook.task and webhook.task.end else ""
        """The state with which the task has ended; empty for anything else."""

    @property
    def key(self) -> str:
        """What the choice of a gateway goes by: the account, else the task."""
        return self.account or f"{TASKS}/{self.task_id}"

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do."""
        return self.published and self.stored

    @property
    def finished(self) -> bool:
        """Whether the outbox is done with it: it is settled, or in the spool instead."""
        return self._done.is_set()

    def finish(self) -> None:
        """Tell whoever waits that the outbox is done with it."""
        self._done.set()

    def wait(self, timeout: float) -> bool:
        """Block for up to `timeout` seconds until it is finished; whether it is."""
        return self._done.wait(timeout)
