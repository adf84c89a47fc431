"""Settings of a node: every limit, with its default and what it means. The edge adds its own."""

from typing import Final
from urllib.parse import urlsplit

from gateway.edge.settings import EdgeSettings, not_negative
from skyhooks.channel import TASK_RETENTION
from skyhooks.errors import Refused
from skyhooks.registry import hook_url
from skyhooks.settings import Setting, boolean, one_of, positive, words

STORE: Final = "store"
PEER: Final = "peer"
"""What keeps the roster and the leader: leases in the store, or the nodes alone."""


MOST_DEADLINE: Final = TASK_RETENTION.dedupe - 3600
"""Seconds that a deadline may be ahead. After the dedupe window the end of a task may be forgotten, and nobody could
tell then that there was one; the hour is for leaders that come late."""


def deadline(text: str) -> float:
    """Read the default deadline of tasks. Raises `ValueError`."""
    value = float(text)
    if not 0 <= value <= MOST_DEADLINE:
        raise ValueError(f"expected 0 for none, or at most {MOST_DEADLINE:g} seconds")
    return value


def base_url(text: str) -> str:
    """Read the base URL of a node; empty stays empty. Raises `ValueError`."""
    if not text:
        return text
    try:
        if urlsplit(hook_url(text)).query:
            raise ValueError("expected a URL without a query, such as https://gateway.example")
    except Refused as error:
        raise ValueError(error.detail) from None
    return text.rstrip("/")


class NodeSettings(EdgeSettings):
    """What ``skyhooks gateway`` can be told by config file, ``SKYHOOKS_*`` or ``-X name=value``."""

    listen = Setting("127.0.0.1:8080", str, "address and port to listen on; port 0 takes a free one")
    public_url = Setting(
        "",
        base_url,
        "base URL under which workers reach this node, where that is not the address it listens on (a certificate's "
        "name, a proxy)",
    )
    tls_certificate = Setting("", str, "PEM file of a certificate chain; with it the port speaks https and wss only")
    tls_key = Setting("", str, "PEM file of the certificate's private key; empty means that it is in the same file")
    store = Setting("", str, "the store's URL; empty means the file in the XDG state folder")
    broker = Setting("", str, "Celery's broker URL, for submitting tasks over HTTP; empty turns that off")
    secret = Setting("", str, "secrets that webhooks may be signed with, separated by commas; the first one signs")
    open = Setting(False, boolean, "accept unsigned webhooks; only on a loopback address")
    node_id = Setting("", str, "this node's name in the registry; empty draws one")
    hosts: Setting[tuple[str, ...]] = Setting(
        (), words, "host names besides localhost and IP addresses that requests may be addressed to"
    )
    origins: Setting[tuple[str, ...]] = Setting(
        (), words, "web origins besides the node's own whose pages may subscribe and publish"
    )
    tasks: Setting[tuple[str, ...]] = Setting(
        (
            "workers.tasks.countdown",
            "workers.tasks.add",
            "workers.tasks.fail",
            "workers.tasks.flaky",
            "workers.tasks.pipeline",
            "workers.tasks.primes",
            "workers.tasks.squares",
        ),
        words,
        "names of the tasks that may be submitted over HTTP",
    )
    task_deadline_seconds = Setting(
        MOST_DEADLINE,
        deadline,
        "how long a task that is submitted here may take to end, waiting included, before the leader publishes its "
        "failure, unless the submission says otherwise; 0 means for ever. At most an hour less than the end of a task "
        "is remembered",
    )
    deadline_pause_seconds = Setting(
        1.0, positive(float), "pause between two looks of the leader for tasks past their deadline"
    )
    expiry_grace_seconds = Setting(
        5.0,
        positive(float),
        "how long after a task has expired the leader says so, if no worker has: clocks differ, and a task that has "
        "begun in time needs a moment to tell",
    )
    echo = Setting("", str, "path of a WebSocket that echoes, for conformance suites; empty means none")
    durable: Setting[tuple[str, ...]] = Setting((), words, "namespaces that keep a log, besides accounts and tasks")
    channels = Setting(100_000, positive(int), "channels that are served at a time; beyond that subscribing is 503")
    session_subscriptions = Setting(
        128,
        positive(int),
        "channels that one connection to /connect may follow; with connections_per_address it bounds how much of "
        "`channels` one client can take",
        live=True,
    )
    session_commands = Setting(
        256,
        positive(int),
        "commands of one connection to /connect that may wait for their turn; then no more is read from it",
        live=True,
    )
    session_bytes = Setting(
        1024 * 1024,
        positive(int),
        "bytes of commands of one connection to /connect that wait or are being carried out; then no more is read",
        live=True,
    )
    ring_count = Setting(1000, positive(int), "publications of a channel kept in memory")
    ring_bytes = Setting(4 * 1024 * 1024, positive(int), "bytes of data of a channel kept in memory")
    mesh = Setting(
        "",
        str,
        "base address of this node's ZeroMQ sockets, such as ipc:///run/skyhooks/n1 or tcp://10.0.0.1:7700 (three "
        "ports from there on); empty means sockets in the runtime folder, "
        "off means none: it hears of others through the log",
    )
    mesh_key = Setting("", str, "file of this node's CURVE key (`skyhooks keys` makes it); needed off loopback")
    mesh_allow = Setting("", str, "folder with the public keys (*.pub) of the nodes that may take part")
    forwarder = Setting(
        "", str, "base address of a `skyhooks forwarder`; empty means that each node talks to each other"
    )
    forwarder_key = Setting("", str, "the forwarder's public CURVE key; needed off loopback")
    coordinator = Setting(
        STORE,
        one_of(STORE, PEER),
        "what keeps the roster and the leader: leases in the store, or the nodes alone; with peer nothing has a log, "
        "and the store is memory://",
    )
    join: Setting[tuple[str, ...]] = Setting(
        (), words, "with coordinator peer: addresses of nodes to join, as they were given as their `mesh`"
    )
    heartbeat_seconds = Setting(1.0, positive(float), "pause between two looks at the roster and the leader's lease")
    leader_lease_seconds = Setting(3.0, positive(float), "how long a leader counts as one after its last sign of life")
    rpc_seconds = Setting(2.0, positive(float), "how long another node may take to answer")
    bridges: Setting[tuple[str, ...]] = Setting(
        (),
        words,
        "feeds that the leader brings into channels, as CHANNEL=URL: numbers=numbers://127.0.0.1:7000, "
        "news=lines:///var/log/news.jsonl",
    )
    announce = Setting(True, boolean, "say in the channel `announce`, in turn with the others, that this node is here")
    journal_days = Setting(7.0, positive(float), "how long the journal is kept")
    drain_seconds = Setting(
        5.0, positive(float), "how long a stopping node may take to send its subscribers away", live=True
    )
    drain_rate = Setting(200.0, positive(float), "subscribers that a stopping node sends away in a second", live=True)
    channel_linger_seconds = Setting(
        30.0, positive(float), "how long a channel is served after its last subscriber has left"
    )
    lease_seconds = Setting(10.0, positive(float), "how long a node counts as alive after its last sign of life")
    heads_seconds = Setting(
        0.0,
        not_negative,
        "pause between two looks at what other nodes have appended; 0 takes 0.1 seconds, and 0.5 on MongoDB, whose "
        "primary every node asks",
    )
    sweep_seconds = Setting(60.0, positive(float), "pause between two comparisons of every served channel with the log")
    trim_seconds = Setting(60.0, positive(float), "pause between two rounds of retention")
    batch_count = Setting(256, positive(int), "publications in one commit")
    waiting_bytes = Setting(32 * 1024 * 1024, positive(int), "bytes of data that wait for a commit before 503")
    batch_items = Setting(1000, positive(int), "webhooks in one batch")
