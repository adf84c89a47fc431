"""The registry: which URLs want to hear of which keys, and which gateways are alive.

A hook of kind ``endpoint`` is a customer's URL and stays until it is removed. One of kind ``gateway`` belongs to a node
and counts only while that node's lease is in force, so a node renews one lease and not a row for each account.

The checks are pure functions (`hook_of`, `hook_keys`, `hook_url`, `node_lease`, `node_info`): a gateway checks with
them and then awaits its own store.
"""

import re
import secrets
from collections.abc import Mapping
from typing import Final, Literal, cast

import msgspec

from skyhooks.channel import account_name
from skyhooks.errors import Refused, shown
from skyhooks.store.base import Hook, Lease, Store

NODES: Final = "nodes/"
"""The prefix of the leases that nodes hold."""
GATEWAY: Final = "gateway"
APP: Final = "app"
"""The roles that a node's lease may tell; without one it is a gateway."""
MAX_KEYS: Final = 8
MAX_URL: Final = 2048

KEY_PATTERN: Final = r"[a-z_]{1,64}"
_GROUP: Final = "[0-9A-Fa-f]{1,4}"
_AFTER: Final = [f"(?:{_GROUP}(?::{_GROUP}){{0,{most - 1}}})?" for most in range(7, 0, -1)]
_IPV6: Final = "|".join(
    (
        f"(?:{_GROUP}:){{7}}{_GROUP}",
        f"::{_AFTER[0]}",
        *(f"(?:{_GROUP}:){{{before}}}:{after}" for before, after in enumerate([*_AFTER[1:], ""], 1)),
    )
)
_PORT: Final = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
URL_PATTERN: Final = rf"[Hh][Tt][Tt][Pp][Ss]?://(?:[A-Za-z0-9._~-]+|\[(?:{_IPV6})\])(?::(?:{_PORT}))?(?:[/?][!\"$-~]*)?"
"""The form of a URL that webhooks are sent to: a name or address (RFC 4291 section 2.2, without dotted tails), perhaps
a port, path and query."""

_KEY = re.compile(rf"{KEY_PATTERN}\Z")
_NODE = re.compile(r"[A-Za-z0-9._:@-]{1,128}\Z")
_PRINTABLE = re.compile(r"[!-~]+\Z")
_URL = re.compile(rf"{URL_PATTERN}\Z")


class Node(msgspec.Struct, frozen=True):
    """A node that is alive: its id, the base URL that it answers at, and its role."""

    id: str
    url: str
    role: str = GATEWAY


class Registry:
    """The registry in `store`. Every method may raise `skyhooks.errors.StoreUnavailable`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def register(self, keys: Mapping[str, object], url: str, kind: str = "endpoint", node: str = "") -> Hook:
        """Have `url` told of everything for `keys`, such as ``{"account_id": 7}``.

        The same registration again gives the same hook. Raises `Refused` (see `hook_of`).
        """
        return self._store.add_hook(hook_of(keys, url, kind, node))

    def unregister(self, hook_id: str) -> bool:
        """Remove a hook; False when there is none with this id."""
        return self._store.remove_hook(hook_id)

    def unregister_url(self, keys: Mapping[str, object], url: str) -> int:
        """Remove the hooks that were registered for exactly `keys` and `url`; how many there were.

        Raises `Refused` (``bad_keys``, ``bad_account``).
        """
        wanted = hook_keys(keys)
        found = [hook.id for hook in self._store.hooks(wanted) if hook.keys == wanted and hook.url == url]
        return sum(self._store.remove_hook(hook_id) for hook_id in found)

    def find(self, keys: Mapping[str, object]) -> list[Hook]:
        """The hooks that match `keys`, oldest first. Raises `Refused` (``bad_keys``, ``bad_account``)."""
        return self._store.hooks(hook_keys(keys))

    def gateways(self, keys: Mapping[str, object]) -> list[str]:
        """The URLs of the live gateways that registered for `keys`, each once.

        Raises `Refused` (``bad_keys``, ``bad_account``).
        """
        return [*dict.fromkeys(hook.url for hook in self._store.hooks(hook_keys(keys), "gateway"))]

    def announce(self, node_id: str, url: str, ttl: float) -> Lease:
        """Say, or say again, that the gateway `node_id` answers at `url`, for the next `ttl` seconds.

        Raises `Refused`: ``bad_node``, ``bad_url``; ``node_taken`` (409) when another one has that id.
        """
        lease = self._store.lease(node_lease(node_id), node_id, ttl, node_info(url))
        if lease is None:
            raise Refused("node_taken", f"another node is called {node_id!r}: give each node an id of its own", 409)
        return lease

    def withdraw(self, lease: Lease) -> bool:
        """Take back what `announce` said; False when it had run out."""
        return self._store.release(lease.name, lease.holder, lease.term)

    def nodes(self) -> list[Node]:
        """The gateways that are alive, by id. Apps that registered themselves (`skyhooks.adapters`) are none."""
        return [node for lease in self._store.leases(NODES) if (node := node_of(lease)).role == GATEWAY]

    # Last, because from here on `list` means this in the signatures of the class.
    def list(self) -> list[Hook]:
        """Every hook that is in force, oldest first."""
        return self._store.hooks()


def hook_of(keys: Mapping[str, object], url: object, kind: str = "endpoint", node: str = "") -> Hook:
    """A new hook with a random id.

    Raises `Refused`: ``bad_keys``, ``bad_account``, ``bad_url``, ``bad_kind``; ``bad_node`` unless a hook of kind
    ``gateway`` names its node and one of kind ``endpoint`` names none.
    """
    if kind not in ("gateway", "endpoint"):
        raise Refused("bad_kind", f"a hook is of kind gateway or endpoint; got {shown(kind)}")
    if kind == "gateway":
        node_lease(node)
    elif node:
        raise Refused("bad_node", f"only a hook of kind gateway belongs to a node; got {shown(node)}")
    checked = cast(Literal["gateway", "endpoint"], kind)
    return Hook(id=secrets.token_hex(16), kind=checked, keys=hook_keys(keys), url=hook_url(url), node=node)


def hook_keys(keys: Mapping[str, object]) -> dict[str, str]:
    """`keys` in their canonical form: values are spelled as accounts are, so ``7`` and ``"7"`` are one.

    Raises `Refused`: ``bad_keys`` unless there are 1 to 8 with names of 1 to 64 characters ``a-z`` and ``_``;
    ``bad_account`` for a value that is none.
    """
    if not isinstance(keys, Mapping) or not 1 <= len(keys) <= MAX_KEYS:
        raise Refused("bad_keys", f'keys are 1 to {MAX_KEYS} pairs such as {{"account_id": 7}}; got {shown(keys)}')
    for name in keys:
        if not isinstance(name, str) or not _KEY.match(name):
            raise Refused("bad_keys", f"a key's name is 1 to 64 characters a-z and _; got {shown(name)}")
    return {name: account_name(value) for name, value in keys.items()}


def hook_url(url: object) -> str:
    """`url` itself, when a webhook can be sent to it.

    Raises `Refused` (``bad_url``) unless it is an absolute http or https URL (RFC 3986) of up to 2048 printable ASCII
    characters, with a host and without user, password and fragment.
    """
    if not isinstance(url, str) or len(url) > MAX_URL or not _PRINTABLE.match(url):
        raise Refused("bad_url", f"a URL is up to {MAX_URL} printable ASCII characters; got {shown(url)}")
    if _URL.match(url):
        return url
    if "@" in url or "#" in url:
        # Not repeated: it may hold a password.
        raise Refused("bad_url", "a URL for webhooks carries no user, password or fragment")
    raise Refused("bad_url", f"a URL is absolute, http:// or https:// and a host; got {shown(url)}")


def node_lease(node_id: str) -> str:
    """The name of the lease that node `node_id` holds. Raises `Refused` (``bad_node``)."""
    if not isinstance(node_id, str) or not _NODE.match(node_id):
        raise Refused("bad_node", f"a node's id is 1 to 128 letters, digits and . _ - : @; got {shown(node_id)}")
    return f"{NODES}{node_id}"


def node_info(url: object) -> str:
    """What a node's lease tells of it. Raises `Refused` (``bad_url``)."""
    return msgspec.json.encode({"url": hook_url(url)}).decode()


def node_of(lease: Lease) -> Node:
    """The node that holds `lease`. Whatever else its info tells is left alone."""
    info = msgspec.json.decode(lease.info, type=dict[str, object])
    return Node(lease.name.removeprefix(NODES), str(info.get("url", "")), str(info.get("role", GATEWAY)))
