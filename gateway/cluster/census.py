"""What the nodes of a cluster say of themselves when one of them asks, and what one may ask another to do.

Whoever is asked answers from its own memory; whoever asks shows every node of its roster, those that do not answer
with the reason, within one deadline for all of them.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

import msgspec

from gateway.cluster.roster import Member, Roster
from gateway.mesh.rpc import RpcError, RpcFailed, RpcTimeout
from skyhooks.errors import Refused
from skyhooks.store.base import JournalEntry

T = TypeVar("T")

STATUS: Final = "status"
PRESENCE: Final = "presence"
DRAIN: Final = "drain"
JOURNAL: Final = "journal"
LEADER: Final = "leader"
"""Who is meant by this name, where no node has it, is the one that leads."""


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A node as it sees itself.

    `uptime` is in seconds. `leader` and `term` are what it believes, `nodes` is how many it knows of, itself included.
    `draining`: it sends its subscribers away and takes no new ones. `refused` counts the publications that the store
    refused it because a newer leader had written. `mesh` and `rpc` are the counters of its sockets.
    """

    id: str
    incarnation: str
    version: str
    url: str
    uptime: float
    leader: str
    term: int
    nodes: int
    channels: int
    subscribers: int
    draining: bool = False
    refused: int = 0
    mesh: dict[str, int] = {}
    rpc: dict[str, int] = {}


class SeenNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node as another one sees it: its own words, or `error`, why there are none."""

    id: str
    url: str
    leads: bool
    error: str = ""
    status: NodeStatus | None = None


class Nodes(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster as the node `asked` sees it. `leader` is empty when nobody leads; `nodes` are sorted by id."""

    asked: str
    leader: str
    term: int
    nodes: list[SeenNode]


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """How many subscribers a channel has: in all, by node, and, by node, why that is not known."""

    channel: str
    subscribers: int
    nodes: dict[str, int]
    unknown: dict[str, str] = {}


class Draining(msgspec.Struct, frozen=True):
    """A node has been told to stop, and does so from now on."""

    id: str
    draining: bool = True


class JournalQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are wanted; see `JournalStore.journal`. `since` is in seconds since 1970."""

    account: str | None = None
    since: float = 0.0
    limit: int = 1000
    task_id: str | None = None


class Calls(Protocol):
    """What is needed of `gateway.mesh.rpc.Rpc`."""

    def handle(self, name: str, answer: Callable[[Any], Awaitable[object]], takes: Any = Any) -> None:
        """See `Rpc.handle`."""
        ...

    async def ask(self, member: Member, name: str, payload: object, seconds: float, gives: Any = Any) -> Any:
        """See `Rpc.ask`."""
        ...

    async def gather(
        self, members: list[Member], name: str, payload: object, seconds: float, gives: Any = Any
    ) -> Mapping[str, Any]:
        """See `Rpc.gather`."""
        ...


class Journal(Protocol):
    """What is needed of the store."""

    async def journal(
        self, account: str | None = None, since: float = 0.0, limit: int = 1000, task_id: str | None = None
    ) -> list[JournalEntry]:
        """See `JournalStore.journal`."""
        ...


class Census:
    """Asks the nodes of `roster`, and answers them for node `own`.

    `describe` gives the node's own words, `subscribers` how many a channel has here, and `drain` begins to drain this
    node and returns at once. A node that has not answered after `timeout` seconds is shown as one that did not.
    """

    def __init__(
        self,
        calls: Calls,
        own: Member,
        roster: Callable[[], Roster],
        *,
        describe: Callable[[], NodeStatus],
        subscribers: Callable[[str], int],
        drain: Callable[[], None],
        journal: Journal,
        timeout: float,
    ) -> None:
        self._calls = calls
        self._own = own
        self._roster = roster
        self._describe = describe
        self._subscribers = subscribers
        self._drain = drain
        self._journal = journal
        self._timeout = timeout
        calls.handle(STATUS, self._answer_status)
        calls.handle(PRESENCE, self._answer_presence, str)
        calls.handle(DRAIN, self._answer_drain)
        calls.handle(JOURNAL, self._answer_journal, JournalQuery)

    async def nodes(self) -> Nodes:
        """Every node with its status."""
        roster = self._roster()
        members = self._members(roster)
        answers = await self._calls.gather(list(members.values()), STATUS, None, self._timeout, NodeStatus)
        seen = [_seen(member, answers[node_id], roster.leader) for node_id, member in sorted(members.items())]
        return Nodes(asked=self._own.id, leader=roster.leader, term=roster.term, nodes=seen)

    async def presence(self, channel: str) -> Presence:
        """The subscribers of a channel, summed over the nodes that answer."""
        members = self._members(self._roster())
        answers = await self._calls.gather(list(members.values()), PRESENCE, channel, self._timeout, int)
        counts = {node_id: answer for node_id, answer in sorted(answers.items()) if not isinstance(answer, RpcError)}
        unknown = {node_id: str(answer) for node_id, answer in sorted(answers.items()) if isinstance(answer, RpcError)}
        return Presence(channel=channel, subscribers=sum(counts.values()), nodes=counts, unknown=unknown)

    async def drain(self, node_id: str) -> Draining:
        """Have a node, or the ``leader``, stop.

        Raises `Refused`: ``unknown_node`` (404), ``node_silent`` (504), ``node_failed`` (502).
        """
        roster = self._roster()
        members = self._members(roster)
        member = members.get(node_id) or (members.get(roster.leader) if node_id == LEADER else None)
        if member is None:
            raise Refused("unknown_node", _missing(node_id, members), 404)
        try:
            await self._calls.ask(member, DRAIN, None, self._timeout)
        except RpcTimeout as error:
            raise Refused("node_silent", f"{member.id} gave {error}; it may still drain when it wakes", 504) from error
        except RpcFailed as error:
            raise Refused("node_failed", f"{member.id} did not drain: {error.detail}", 502) from error
        return Draining(member.id)

    def _members(self, roster: Roster) -> dict[str, Member]:
        """Those of the roster, and this node, which may not be on it yet."""
        return {self._own.id: self._own, **roster.members}

    async def _answer_status(self, _: object) -> NodeStatus:
        return self._describe()

    async def _answer_presence(self, channel: str) -> int:
        return self._subscribers(channel)

    async def _answer_drain(self, _: object) -> None:
        self._drain()

    async def _answer_journal(self, query: JournalQuery) -> list[JournalEntry]:
        return await self._journal.journal(query.account, query.since, query.limit, query.task_id)


def _seen(member: Member, answer: "NodeStatus | RpcError", leader: str) -> SeenNode:
    leads = member.id == leader
    if isinstance(answer, RpcError):
        return SeenNode(id=member.id, url=member.url, leads=leads, error=str(answer))
    return SeenNode(id=member.id, url=member.url, leads=leads, status=answer)


def _missing(node_id: str, members: Mapping[str, Member]) -> str:
    if node_id == LEADER:
        return "nobody leads now; name the node"
    return f"there is no node {node_id[:80]!r}; there are {', '.join(sorted(members))[:500]}"
