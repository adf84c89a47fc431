"""Which gateways a worker tries for a result, and in which order.

Rendezvous hashing (Thaler and Ravishankar, 1996) ranks the nodes for a key, so that all workers prefer the same
gateway for an account: its results meet there, and collisions in the log are rare and batches large. First come the
nodes that are registered for the account, then the other live gateways; those that failed a moment ago come last. Any
order is correct. An app that listens (`skyhooks.adapters`) takes what it is registered for and nothing else.
"""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

import msgspec
import structlog

from skyhooks.errors import StoreError
from skyhooks.journal import Address
from skyhooks.registry import GATEWAY, NODES
from skyhooks.store.base import Lease, Store

log = structlog.get_logger()

FRESH: Final = 1.0
"""Seconds for which a look-up in the registry is used again."""
COOL_DOWN: Final = 2.0
"""Seconds for which a gateway that failed is tried after all others."""
MOST_COOL_DOWN: Final = 30.0
"""Seconds of ``Retry-After`` that are honoured at most."""
MOST_ACCOUNTS: Final = 4096
"""Accounts whose gateways are remembered."""


class LiveNode(msgspec.Struct, frozen=True):
    """What a node's lease tells: its id, its base URL, whether it takes webhooks without a signature (``--open``), and
    its role: a ``gateway`` takes any result, anyone else only those of the accounts that it is registered for.
    `journal` is where it takes notes, empty when it takes none.
    """

    id: str
    url: str
    open: bool = False
    role: str = GATEWAY
    journal: Address = Address("")


class Choice(msgspec.Struct, frozen=True):
    """The ``/hooks`` URLs to try, in this order. `refused` counts live gateways that may not be talked to without a
    secret.
    """

    urls: tuple[str, ...] = ()
    refused: int = 0


class Gateways:
    """Look-ups, remembered for a second. When the store cannot be read, what was known last counts.

    With `signing` false (this worker has no secret) only gateways that are open are chosen. `clock` is monotonic.
    """

    def __init__(self, store: Store, signing: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._signing = signing
        self._clock = clock
        self._nodes: tuple[float, Sequence[LiveNode]] = (-math.inf, ())
        self._registered: OrderedDict[str, tuple[float, frozenset[str]]] = OrderedDict()
        self._cooling: dict[str, float] = {}

    def choose(self, account: str, task_id: str) -> Choice:
        """The gateways for a result of a task, with its account or without (empty)."""
        live = self._live_nodes()
        registered = self._registered_for(account) if account and live else frozenset[str]()
        nodes = [node for node in live if node.role == GATEWAY or node.id in registered]
        allowed = {node.id: node for node in nodes if self._signing or node.open}
        now = self._clock()

        def later(node_id: str) -> tuple[bool, bool]:
            return self._cooling.get(allowed[node_id].url, 0.0) > now, node_id not in registered

        ordered = sorted(ranked(account or task_id, allowed), key=later)
        return Choice(tuple(allowed[node_id].url for node_id in ordered), len(nodes) - len(allowed))

    def collectors(self) -> list[Address]:
        """Where the live nodes take notes for the journal."""
        return [node.journal for node in self._live_nodes() if node.journal.endpoint]

    def cool(self, url: str, seconds: float = COOL_DOWN) -> None:
        """Try a gateway after all others for a while: it has just failed, or asked for it."""
        self._cooling[url] = self._clock() + min(seconds, MOST_COOL_DOWN)

    def warm(self, url: str) -> None:
        """A gateway has answered."""
        self._cooling.pop(url, None)

    def _live_nodes(self) -> Sequence[LiveNode]:
        at, nodes = self._nodes
        if self._clock() - at < FRESH:
            return nodes
        try:
            nodes = [node for lease in self._store.leases(NODES) if (node := _node_of(lease)) is not None]
        except StoreError as error:
            log.warning("registry_unreadable", error=str(error), using_nodes=len(nodes))
        self._nodes = (self._clock(), nodes)
        return nodes

    def _registered_for(self, account: str) -> frozenset[str]:
        """The ids of the nodes that are registered for an account."""
        at, nodes = self._registered.get(account, (-math.inf, frozenset[str]()))
        if self._clock() - at < FRESH:
            return nodes
        # An unreadable store is said once, for the nodes, which are looked up before.
        with suppress(StoreError):
            nodes = frozenset(hook.node for hook in self._store.hooks({"account_id": account}, "gateway"))
        self._registered[account] = (self._clock(), nodes)
        self._registered.move_to_end(account)
        if len(self._registered) > MOST_ACCOUNTS:
            self._registered.popitem(last=False)
        return nodes


class _Info(msgspec.Struct, frozen=True):
    url: str = ""
    open: bool = False
    role: str = GATEWAY
    journal: str = ""
    key: str = ""


def _node_of(lease: Lease) -> LiveNode | None:
    """The node behind a lease; None when its info does not say where it is (another version's, perhaps)."""
    try:
        info = msgspec.json.decode(lease.info, type=_Info)
    except msgspec.DecodeError:
        return None
    if not info.url:
        return None
    journal = Address(info.journal, info.key)
    return LiveNode(lease.name.removeprefix(NODES), hooks_url(info.url), info.open, info.role, journal)


def hooks_url(url: str) -> str:
    """Where a node at `url` takes webhooks."""
    return url if url.endswith("/hooks") else f"{url.rstrip('/')}/hooks"


def ranked(key: str, names: Iterable[str]) -> list[str]:
    """`names` in the order of preference that `key` has for them."""

    def weight(name: str) -> bytes:
        return hashlib.blake2b(f"{key}\0{name}".encode(), digest_size=8).digest()

    return sorted(names, key=weight, reverse=True)
