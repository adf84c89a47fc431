"""One connection of the client protocol: its subscriptions, and the commands that wait for their turn.

Theory of operation. Each subscription is a subscriber of its own in the hub, written to directly by its channel; what
they share is the sink, and `gateway.connect.turns` says who goes on when it has been full.

Commands are carried out one after the other, in the order in which they came, by a task that ends when none is left;
publications that wait together are committed together. While many wait, no more is read from the client. A command
that waits when the client leaves is dropped: it was not answered. One that is being carried out runs to its end,
because its commit may be under way.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

import structlog

from gateway.channels import Channels, Published, draft_for
from gateway.connect.commands import (
    Command,
    Ping,
    Presence,
    Publish,
    Subscribe,
    Unsubscribe,
    answer,
    id_of,
    read_command,
    refusal,
)
from gateway.connect.turns import Shared, Turns
from gateway.edge.request import Sink
from gateway.hub.encoding import Named
from gateway.hub.subscriber import UNEXPECTED_MESSAGE, Subscriber
from skyhooks.channel import ACCOUNTS, TASKS, channel_name, namespace_of
from skyhooks.errors import Refused
from skyhooks.publication import Draft, Position
from skyhooks.webhook import compact

log = structlog.get_logger()

BATCH: Final = 256
"""Publications of one client that are committed together."""
GARBAGE: Final = 100
"""Messages in a row that are no commands, after which the connection ends."""
NOT_ALLOWED: Final = 1008
"""WebSocket close code for messages that break the endpoint's rules (RFC 6455 section 7.4.1)."""


class Limits(NamedTuple):
    """What one connection may have: channels that it follows, commands and their bytes that wait."""

    subscriptions: int
    commands: int
    size: int


class Terms:
    """What every session on a node shares.

    `presence` counts a channel's subscribers on all nodes. With `signed`, accounts and tasks cannot be spoken for
    here: what is said to them is signed, and a message of this protocol is not. `limits` are asked for each time,
    because they may change while a connection is open.
    """

    def __init__(
        self,
        channels: Channels,
        presence: Callable[[str], Awaitable[Any]],
        *,
        signed: bool,
        limits: Callable[[], Limits],
    ) -> None:
        self.channels = channels
        self.presence = presence
        self.signed = signed
        self.limits = limits
        self.tasks: set[asyncio.Task[None]] = set()

    async def close(self, seconds: float) -> None:
        """Let the commands end that are being carried out; those that take longer than `seconds` are given up."""
        if self.tasks:
            _, late = await asyncio.wait(self.tasks, timeout=seconds)
            for task in late:
                task.cancel()


class _Lane:
    """The part of the connection that one subscription sees: it may write, and only end itself."""

    __slots__ = ("_encoding", "_name", "_session", "has_room", "send")

    def __init__(self, session: "Session", sink: Sink, name: str, encoding: Named) -> None:
        self.send: Callable[[bytes, Sequence[int]], int] = sink.send
        self.has_room: Callable[[], bool] = sink.has_room
        self._session = session
        self._name = name
        self._encoding = encoding

    def close(self, code: int, reason: str) -> None:
        """The hub has dismissed the subscriber: say so, and leave the others alone."""
        self._session.ended(self._name, self._encoding.ended(code, reason))


class Session:
    """The peer of one connection. Implements the edge's `Peer`."""

    __slots__ = (
        *("_bytes", "_garbage", "_held", "_over", "_refused", "_sink", "_subscribers", "_task", "_terms", "_turns"),
        "_waiting",
    )

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._sink: Sink
        self._turns: Turns
        self._subscribers: dict[str, Subscriber] = {}
        self._waiting: deque[tuple[Command, int]] = deque()
        self._bytes = 0
        self._held = False
        self._refused = 0
        self._garbage = 0
        self._task: asyncio.Task[None] | None = None
        self._over = False

    # -- Peer

    def opened(self, sink: Sink) -> None:
        """The client may be written to; it has the first word."""
        self._sink = sink
        self._turns = Turns(sink, asyncio.get_running_loop())

    def drained(self) -> None:
        """The connection has room again."""
        self._turns.serve()

    def received(self, message: str | bytes) -> None:
        """A command, to be carried out in its turn."""
        if not isinstance(message, str):
            self._sink.close(UNEXPECTED_MESSAGE, "commands are JSON in text messages")
            return
        try:
            command = read_command(message)
        except Refused as error:
            self._refuse(id_of(message), error)
            self._garbage += 1
            if self._garbage >= GARBAGE:
                self._sink.close(NOT_ALLOWED, f"{GARBAGE} messages in a row were no commands")
            return
        self._garbage = 0
        size = len(message) if message.isascii() else len(message.encode())
        self._waiting.append((command, size))
        self._bytes += size
        self._hold()
        if self._task is None:
            self._task = asyncio.create_task(self._serve(), name="session")
            self._terms.tasks.add(self._task)
            self._task.add_done_callback(self._terms.tasks.discard)

    def closed(self) -> None:
        """The client is gone."""
        self._over = True
        self._waiting.clear()
        for subscriber in self._subscribers.values():
            subscriber.closed()
        self._subscribers.clear()
        if self._refused > 1:
            log.info("commands_refused", count=self._refused)

    # -- of its subscriptions

    def ended(self, name: str, notice: bytes) -> None:
        """A channel has let its subscriber go."""
        self._subscribers.pop(name, None)
        self._sink.reply(notice)

    # -- commands

    async def _serve(self) -> None:
        try:
            while self._waiting:
                command, size = self._waiting.popleft()
                if isinstance(command, Publish):
                    behind, more = self._publications()
                    await self._publish([command, *behind])
                    size += more
                else:
                    await self._carry_out(command)
                self._bytes -= size
                self._hold()
        finally:
            self._task = None

    def _publications(self) -> tuple[list[Publish], int]:
        """The publications that wait next, up to a command of another kind, to be committed with one; their bytes."""
        found: list[Publish] = []
        total = 0
        while self._waiting and len(found) < BATCH - 1 and isinstance(command := self._waiting[0][0], Publish):
            found.append(command)
            total += self._waiting.popleft()[1]
        return found, total

    def _hold(self) -> None:
        """Read no more from the client while too much waits."""
        limits = self._terms.limits()
        hold = len(self._waiting) >= limits.commands or self._bytes >= limits.size
        if hold is not self._held and not self._over:
            self._held = hold
            self._sink.hold(hold)

    async def _carry_out(self, command: Command) -> None:
        try:
            if isinstance(command, Subscribe):
                await self._subscribe(command)
                return
            self._sink.reply(answer(command.id, await self._result(command)))
        except Refused as error:
            self._refuse(command.id, error)
        except Exception:
            log.exception("command_failed", type=type(command).__name__)
            self._sink.reply(refusal(command.id, _failed()))

    async def _result(self, command: Command) -> Any:
        """What a command that has nothing more to say is answered."""
        if isinstance(command, Presence):
            return await self._terms.presence(channel_name(command.channel))
        if isinstance(command, Unsubscribe):
            subscriber = self._subscribers.pop(channel_name(command.channel), None)
            if subscriber is None:
                raise Refused("not_subscribed", f"this connection does not follow {command.channel}", 404)
            subscriber.closed()
            return {"channel": command.channel}
        assert isinstance(command, Ping)  # noqa: S101 - the others are handled before
        return {}

    async def _subscribe(self, command: Subscribe) -> None:
        name = channel_name(command.channel)
        since = Position.parse(command.since) if command.since else None
        if name in self._subscribers:
            raise Refused("already_subscribed", f"this connection follows {name} already", 409)
        most = self._terms.limits().subscriptions
        if len(self._subscribers) >= most:
            detail = f"this connection follows {most} channels, and no more; open another one"
            raise Refused("too_many_subscriptions", detail, 429)
        encoding = Named(name)
        channel = await self._terms.channels.follow(name, since)
        if self._over:
            return
        # Answered before it is opened, because where it stands follows at once.
        self._sink.reply(answer(command.id, {"channel": name}))
        subscriber = self._subscribers[name] = Shared(self._turns, channel, encoding, since)
        subscriber.opened(_Lane(self, self._sink, name, encoding))

    async def _publish(self, commands: Sequence[Publish]) -> None:
        judged = [self._draft(command) for command in commands]
        drafts = [one for one in judged if isinstance(one, Draft)]
        done: Sequence[Published | Refused]
        try:
            done = await self._terms.channels.publish(drafts)
        except Exception:
            log.exception("command_failed", type="Publish")
            done = [_failed()] * len(drafts)
        results = iter(done)
        for command, one in zip(commands, judged, strict=True):
            result = next(results) if isinstance(one, Draft) else one
            if isinstance(result, Refused):
                self._refuse(command.id, result)
            else:
                self._sink.reply(answer(command.id, result))

    def _refuse(self, command_id: int | str | None, error: Refused) -> None:
        self._refused += 1
        if self._refused == 1:
            # The others are counted: what a client sends must not become a flood of lines.
            log.info("command_refused", code=error.code, detail=error.detail)
        self._sink.reply(refusal(command_id, error))

    def _draft(self, command: Publish) -> Draft | Refused:
        try:
            draft = draft_for(command.channel, compact(bytes(command.data)), command.key or None)
        except Refused as error:
            return error
        if self._terms.signed and namespace_of(command.channel) in (ACCOUNTS, TASKS):
            return Refused("unsigned", f"what is said to {command.channel} is signed; POST it to /hooks", 401)
        return draft


def _failed() -> Refused:
    return Refused("internal_error", "the command failed here; the node's log says why", 500)
