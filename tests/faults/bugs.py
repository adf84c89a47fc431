"""Ten deliberate bugs, one of which a test build can be told to have: what the checker is checked with.

``FAULTS_BUG`` names it. Each takes the place of one function of the real program.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

PLANTED: Final = "FAULTS_BUG"
EARLY_ACK: Final = "early-ack"
LATE_COMMIT: Final = 0.4
"""Seconds after the acknowledgement at which the bug that acknowledges first begins to commit."""


def plant(name: str) -> None:
    """Have this process run with a bug; none for an empty name. Raises `KeyError` for a name that nobody knows."""
    if name:
        BUGS[name]()


def _replace(owner: Any, name: str, instead: Any) -> Any:
    from tests.faults.build import replace

    original = vars(owner)[name]
    replace(owner, name, instead)
    return original


def _acknowledge_before_commit() -> None:
    from gateway.appender import Appender
    from skyhooks.publication import Draft, Outcome, Position

    async def append(self: Appender, drafts: Sequence[Draft]) -> list[Outcome]:
        if any(draft.fence for draft in drafts):
            return list(await original(self, drafts))

        def commit() -> None:
            task = asyncio.ensure_future(original(self, drafts))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())

        asyncio.get_running_loop().call_later(LATE_COMMIT, commit)
        return [Outcome("stored", dict.fromkeys(draft.channels, Position("early", 1))) for draft in drafts]

    original = _replace(Appender, "append", append)


def _no_fence() -> None:
    import msgspec

    from gateway.bridge import Bridge

    async def take_over(self: Bridge, term: int) -> str:
        head = await self._insist(lambda: self._head(self.channel))
        return head.cursor if head else ""

    def draft(self: Bridge, item: Any, term: int) -> Any:
        return msgspec.structs.replace(original(self, item, term), fence=0)

    original = _replace(Bridge, "_draft", draft)
    _replace(Bridge, "_take_over", take_over)


def _no_gap_repair() -> None:
    from gateway.hub.channel import Channel

    def ask_for(self: Channel, offset: int) -> None:
        """Whatever is missing stays so."""

    _replace(Channel, "_ask_for", ask_for)


def _no_idempotence() -> None:
    import msgspec

    from skyhooks import intake

    def draft_of(webhook: Any, fallback: str) -> Any:
        draft = original(webhook, fallback)
        return msgspec.structs.replace(draft, id=f"{draft.id}~{os.urandom(4).hex()}")

    original = _replace(intake, "draft_of", draft_of)


def _reuse_offsets() -> None:
    from skyhooks.store.sqlite import SqliteStore
    from skyhooks.store.sqlite.retention import SqliteRetention

    def trim(self: Any, namespace: str, *arguments: Any, **options: Any) -> Any:
        with self._database.writing() as db:
            rows = db.execute("SELECT id, head FROM channel WHERE namespace = ? AND head > base + 1", (namespace,))
            for channel, head in rows.fetchall():
                db.execute('DELETE FROM slot WHERE channel = ? AND "offset" = ?', (channel, head))
                db.execute("UPDATE channel SET head = head - 1 WHERE id = ?", (channel,))
        return original(self, namespace, *arguments, **options)

    assert issubclass(SqliteStore, SqliteRetention)
    original = _replace(SqliteRetention, "trim", trim)


def _replay_off_by_one() -> None:
    import msgspec

    from gateway.hub.channel import Channel

    def replayed(self: Channel, subscribers: Sequence[Any], page: Any) -> None:
        original(self, subscribers, msgspec.structs.replace(page, publications=page.publications[1:]))

    original = _replace(Channel, "replayed", replayed)


def _unordered_mesh() -> None:
    from gateway.hub.channel import Channel

    def offer(self: Channel, epoch: str, publication: Any) -> None:
        if self.ready and epoch == self.epoch and publication.offset > self.ring.head + 1:
            self.flush()
            self.ring.reset(publication.offset - 1)
            self.flushed = publication.offset - 1
        original(self, epoch, publication)

    original = _replace(Channel, "offer", offer)


def _resume_by_time() -> None:
    from gateway.hub.channel import Channel
    from skyhooks.publication import Position

    stood: dict[str, deque[tuple[float, int]]] = {}

    def flush(self: Channel) -> None:
        original_flush(self)
        stood.setdefault(self.name, deque(maxlen=1000)).append((time.monotonic(), self.flushed))

    def join(self: Channel, subscriber: Any) -> None:
        if self.ready and subscriber.since is not None and subscriber.since.epoch:
            before = [offset for at, offset in stood.get(self.name, ()) if at < time.monotonic() - 1]
            subscriber.since = Position(subscriber.since.epoch, before[-1] if before else self.flushed)
        original_join(self, subscriber)

    original_flush = _replace(Channel, "flush", flush)
    original_join = _replace(Channel, "join", join)


def _forget_laggards() -> None:
    from gateway.hub.hub import Hub
    from gateway.membership import Membership

    hubs: list[Hub] = []

    def init(self: Hub, *arguments: Any, **options: Any) -> None:
        original_init(self, *arguments, **options)
        hubs.append(self)

    def on_reload(self: Membership) -> None:
        original_reload(self)
        for channel in [channel for hub in hubs for channel in hub.channels.values()]:
            # Later they neither drain nor are they fetched for: nobody knows them any more.
            for subscriber in tuple(channel._others):
                channel.leave(subscriber)

    original_init = _replace(Hub, "__init__", init)
    original_reload = _replace(Membership, "on_reload", on_reload)


def _acknowledge_the_broker_early() -> None:
    """Where it is done: `tests.faults.app.make`, because it is a setting of Celery's."""


BUGS: Final[dict[str, Callable[[], None]]] = {
    "ack-before-commit": _acknowledge_before_commit,
    "no-fence": _no_fence,
    "no-gap-repair": _no_gap_repair,
    "no-idempotence": _no_idempotence,
    "reuse-offsets": _reuse_offsets,
    "replay-off-by-one": _replay_off_by_one,
    "unordered-mesh": _unordered_mesh,
    "resume-by-time": _resume_by_time,
    "forget-laggards": _forget_laggards,
    EARLY_ACK: _acknowledge_the_broker_early,
}
"""By name."""
