"""What a client can do with channels: publish and subscribe. The same for each protocol that it may ask in."""

import secrets
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from gateway.fanout import Fanout
from gateway.hub.channel import Channel
from gateway.hub.encoding import Encoding
from gateway.hub.subscriber import Subscriber
from gateway.ingest import Append, committed
from gateway.registrar import Registrar
from gateway.subscriptions import Subscriptions
from skyhooks.channel import channel_name
from skyhooks.errors import Refused, StoreUnavailable
from skyhooks.publication import Draft, Outcome, Position
from skyhooks.webhook import publication_name


class Published(msgspec.Struct, frozen=True):
    """The answer to a publication: ``stored``, ``duplicate`` or (without a log) ``sent``, where it stands, and how many
    subscribers the channel has on this node.
    """

    status: Literal["stored", "duplicate", "sent"]
    id: str
    channel: str
    position: str
    notified: int


class Channels:
    """The channels of this node. While `draining` says so, nobody new may subscribe."""

    def __init__(
        self,
        append: Append,
        subscriptions: Subscriptions,
        registrar: Registrar,
        fanout: Fanout,
        *,
        draining: Callable[[], bool],
    ) -> None:
        self._append = append
        self._subscriptions = subscriptions
        self._registrar = registrar
        self._fanout = fanout
        self._draining = draining

    def admit(self) -> None:
        """Raises `Refused` (503, ``draining``) when nobody new may subscribe."""
        if self._draining():
            detail = "this node is stopping; another one serves the same channels"
            raise Refused("draining", detail, 503, {"Retry-After": "1"})

    async def subscribe(self, name: str, encoding: Encoding, since: Position | None) -> Subscriber:
        """A subscriber of a channel that has its connection to itself. Raises what `follow` raises."""
        return Subscriber(await self.follow(name, since), encoding, since)

    async def follow(self, name: str, since: Position | None) -> Channel:
        """A channel, to be followed from `since` or from now on.

        Raises `Refused` (``bad_channel``; 503: ``draining``, ``store_unavailable``, ``too_many_channels``).
        """
        name = channel_name(name)
        self.admit()
        durable = self._fanout.is_durable(name)
        try:
            channel = await self._subscriptions.channel(name, since, durable=durable)
        except StoreUnavailable as error:
            detail = "the log cannot be read now; subscribe again"
            raise Refused("store_unavailable", detail, 503, {"Retry-After": "1"}) from error
        self._registrar.served(name)
        return channel

    async def publish(self, drafts: Sequence[Draft]) -> list[Published | Refused]:
        """Publish drafts of one channel each, in this order; what has a log is committed when this returns.

        Each is answered by itself: refused ones (409: ``fenced``; 503: ``busy``, ``store_unavailable``) change nothing.
        """
        logged = [one for one in drafts if self._fanout.is_durable(one.channels[0])]
        outcomes = iter(await self._commit(logged)) if logged else iter(())
        return [
            _judged(next(outcomes), draft, self._subscriptions.subscribers(draft.channels[0]))
            if self._fanout.is_durable(draft.channels[0])
            else self._send(draft)
            for draft in drafts
        ]

    async def _commit(self, drafts: Sequence[Draft]) -> Sequence[Outcome | Refused]:
        try:
            return await committed(self._append, drafts)
        except Refused as error:
            return [error] * len(drafts)

    def _send(self, draft: Draft) -> Published:
        (name,) = draft.channels
        position = self._fanout.publish(name, draft.id, draft.data)
        return Published("sent", draft.id, name, str(position), self._subscriptions.subscribers(name))


def draft_for(name: str, data: bytes, key: str | None) -> Draft:
    """What a client wants to say to a channel; `data` is compact JSON, `key` makes a repetition a duplicate.

    Raises `Refused` (``bad_channel``, ``bad_id``).
    """
    return Draft(id=publication_name(key) if key else secrets.token_hex(16), channels=(channel_name(name),), data=data)


def _judged(outcome: Outcome | Refused, draft: Draft, notified: int) -> Published | Refused:
    if isinstance(outcome, Refused):
        return outcome
    (name,) = draft.channels
    if outcome.status == "fenced":
        return Refused("fenced", f"{name} is written by its bridge only", 409)
    status: Literal["stored", "duplicate"] = "duplicate" if outcome.status == "duplicate" else "stored"
    return Published(status, draft.id, name, str(outcome.positions[name]), notified)
