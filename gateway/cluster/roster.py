"""Who is there and who leads: what every part of a node knows of the others. Pure."""

from collections.abc import Callable
from typing import Protocol

import msgspec


class Member(msgspec.Struct, frozen=True):
    """One node as the others see it.

    `url` is its HTTP base URL; `mesh`, `rpc` and `journal` are its ZeroMQ endpoints (empty: it takes no part there);
    `key` is its CURVE public key in Z85, empty where nothing is encrypted. `incarnation` names one run of the node.
    """

    id: str
    url: str
    mesh: str = ""
    rpc: str = ""
    journal: str = ""
    key: str = ""
    incarnation: str = ""


class Roster(msgspec.Struct, frozen=True):
    """The nodes that are alive, by id, and which of them leads under which term; without a leader it is empty."""

    members: dict[str, Member] = {}
    leader: str = ""
    term: int = 0


class Coordinator(Protocol):
    """Keeps the roster of one node current and settles who leads."""

    @property
    def roster(self) -> Roster:
        """What is known now. This node leads when `Roster.leader` is its id."""
        ...

    def watch(self, changed: Callable[[Roster], None]) -> None:
        """Have `changed` called on the event loop whenever members, leader or term have changed."""
        ...

    async def run(self) -> None:
        """Take part until cancelled."""
        ...

    async def resign(self) -> None:
        """Hand leadership over now, and do not stand for it again."""
        ...

    async def leave(self) -> None:
        """Resign, and take this node off the roster."""
        ...
