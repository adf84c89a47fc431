"""A session and what it stands on, without a network: a connection that takes as much as a test lets it."""

import json
from collections.abc import Sequence
from typing import Any

from websockets.protocol import CLIENT, Protocol

from gateway.channels import Channels
from gateway.connect.session import Limits, Session, Terms
from gateway.fanout import Fanout
from gateway.subscriptions import Subscriptions
from skyhooks.publication import Draft, Outcome
from skyhooks.store.threaded import ThreadedStore
from tests.unit.gateway.stores import Switched, until


class Wire:
    """A sink that takes `room` frames, and keeps what it was given."""

    def __init__(self, room: int = 10**9) -> None:
        self.room = room
        self._protocol = Protocol(CLIENT)
        self.messages: list[dict[str, Any]] = []
        self.closed_with: int | None = None
        self.held = False
        self.sends = 0

    def send(self, data: bytes, ends: Sequence[int]) -> int:
        self.sends += 1
        taken = min(self.room, len(ends))
        self.room -= taken
        self._take(data[: ends[taken - 1] if taken else 0])
        return taken

    def has_room(self) -> bool:
        return self.room > 0

    def hold(self, on: bool) -> None:
        self.held = on

    def reply(self, frame: bytes) -> None:
        self._take(frame)

    def close(self, code: int, reason: str) -> None:
        self.closed_with = code

    def abort(self) -> None:
        self.closed_with = -1

    def _take(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        self.messages += [json.loads(frame.data) for frame in self._protocol.events_received()]

    def data(self, channel: str) -> list[Any]:
        return [one["data"] for one in self.messages if one.get("channel") == channel and "data" in one]


class _Quiet:
    def served(self, channel: str) -> None:
        """No registry here."""


class Stage:
    """What a session stands on, without a network."""

    def __init__(self, commands: int = 256, size: int = 1 << 20, wire: Wire | None = None) -> None:
        self.store = Switched()
        store = ThreadedStore(self.store)
        self.subscriptions = Subscriptions(store, incarnation="run", count=3, size=1 << 20)
        self.fanout = Fanout(self.subscriptions.hub, None, frozenset({"accounts"}))
        self.broken = False
        self.draining = False

        async def append(drafts: Sequence[Draft]) -> list[Outcome]:
            if self.broken:
                raise RuntimeError("broken by the test")
            outcomes = await store.append(drafts)
            self.fanout.committed(drafts, outcomes)
            return outcomes

        self.channels = Channels(append, self.subscriptions, _Quiet(), self.fanout, draining=lambda: self.draining)  # type: ignore[arg-type]
        self.terms = Terms(self.channels, self._presence, signed=False, limits=lambda: Limits(128, commands, size))
        self.wire = wire or Wire()
        self.session = Session(self.terms)
        self.session.opened(self.wire)

    async def _presence(self, channel: str) -> dict[str, Any]:
        raise RuntimeError("broken by the test")

    def say(self, kind: str, **fields: Any) -> None:
        self.session.received(json.dumps({"type": kind, "id": 1, **fields}))

    async def settled(self) -> None:
        await until(lambda: not self.terms.tasks)
