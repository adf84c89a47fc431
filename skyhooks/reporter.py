"""Tells the journal what a worker does, without ever waiting for it.

One thread hands the notes to the nodes that collect them; ZeroMQ spreads them. What nobody takes is kept for a moment,
at most `WAITING` notes, then dropped and counted: losing the journal never delays a result. The socket and the thread
must not cross a fork, so each process makes its own (see `skyhooks.courier`).
"""

import ipaddress
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import structlog

from skyhooks import background
from skyhooks.errors import SettingsError
from skyhooks.journal import MOST, Address, Note, messages

if TYPE_CHECKING:
    import zmq

log = structlog.get_logger()

WAITING: Final = 5000
"""Notes that wait to be taken, at most; the oldest are dropped."""
AGAIN: Final = 0.1
"""Seconds between attempts while nobody takes anything."""
PATIENCE: Final = 50
"""Attempts after which what waits is dropped: nobody collects."""
LAST_ATTEMPTS: Final = 3
"""Attempts that are made in a process that ends."""
HIGH_WATER: Final = 100
"""Messages that wait for one node inside ZeroMQ."""
LINGER_MS: Final = 200
"""How long what was handed over may take to leave when the process ends."""


class Reporter:
    """Hands notes to the nodes that collect them. Nothing is made before the first one.

    `key_file` holds this worker's CURVE key (`skyhooks keys` makes one), which the nodes must allow. Without it nodes
    that want one are told nothing, and the log says so once.
    """

    def __init__(self, key_file: str = "") -> None:
        self.sent = 0
        self.dropped = 0
        self._key_file = key_file
        self._waiting: deque[Note] = deque()
        self._nodes: frozenset[Address] = frozenset()
        self._changed = threading.Condition(threading.Lock())
        self._closing = False
        self._thread: threading.Thread | None = None
        self._said: set[str] = set()

    def report(self, notes: Sequence[Note], nodes: Iterable[Address]) -> None:
        """Take notes, to be handed to any of `nodes`, and return at once. Does not raise."""
        with self._changed:
            self._nodes = frozenset(nodes)
            self._waiting.extend(notes)
            spare = 0 if not self._nodes else WAITING
            while len(self._waiting) > spare:
                self._waiting.popleft()
                self.dropped += 1
            if self._waiting and (self._thread is None or not self._thread.is_alive()) and not self._closing:
                self._thread = background.start(self._run, "skyhooks-journal")
            self._changed.notify_all()

    def close(self, timeout: float = 1.0) -> None:
        """Hand over what waits, for up to `timeout` seconds, and give up the socket."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def _run(self) -> None:
        try:
            import zmq  # here, so that nothing networked is imported before gevent has patched

            context = zmq.Context()
        except Exception as error:  # no library, no descriptors left: a worker works without a journal
            self._say("journal_unusable", str(error))
            return
        line = None
        try:
            line = _Line(context, self._key_file, self._say)
            self._hand_over(line)
        except Exception:  # a fault here must not reach the worker; the next note starts a new thread
            log.exception("journal_failed")
        finally:
            if line is not None:
                line.close()
            context.term()

    def _hand_over(self, line: "_Line") -> None:
        refused = 0
        while (batch := self._take(refused)) is not None:
            if line.send(batch, self._nodes):
                self.sent += len(batch)
                refused = 0
            else:
                refused = self._put_back(batch, refused + 1)

    def _take(self, refused: int) -> list[Note] | None:
        """The next notes, after a pause when the last ones were refused; None when the process ends."""
        with self._changed:
            if refused:
                self._changed.wait_for(lambda: self._closing and refused == 1, AGAIN)
            else:
                self._changed.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting and self._closing:
                return None
            return [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]

    def _put_back(self, batch: Sequence[Note], refused: int) -> int:
        """Keep what nobody took, unless that has been so for too long; how often it was refused by now."""
        with self._changed:
            if refused < (LAST_ATTEMPTS if self._closing else PATIENCE):
                self._waiting.extendleft(reversed(batch))
                return refused
            self.dropped += len(batch) + len(self._waiting)
            self._waiting.clear()
            return 0

    def _say(self, event: str, detail: str) -> None:
        if event not in self._said:
            self._said.add(event)
            log.warning(event, detail=detail, then="the journal does not hear of this worker; results are not affected")


class _Line:
    """A PUSH socket, connected to the nodes that are given with each batch. One thread uses it."""

    def __init__(
        self, context: "zmq.Context[zmq.Socket[bytes]]", key_file: str, say: Callable[[str, str], None]
    ) -> None:
        import zmq

        self._zmq = zmq
        self._say = say
        self._key_file = key_file
        self._connected: frozenset[Address] = frozenset()
        self._socket = context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, HIGH_WATER)
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        # Only what is connected gets anything: notes do not pile up for a node that has died.
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, 1000)
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3000)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
        self._socket.setsockopt(zmq.IPV6, 1)

    def send(self, notes: Sequence[Note], nodes: frozenset[Address]) -> bool:
        """Hand notes over without waiting; False when nobody takes them now."""
        if nodes != self._connected:
            self._follow(nodes)
        try:
            for parts in messages(notes):
                self._socket.send_multipart(parts, self._zmq.DONTWAIT)
        except self._zmq.ZMQError:
            return False
        return True

    def close(self) -> None:
        """Give the socket up; what was handed over may still leave."""
        self._socket.close()

    def _follow(self, nodes: frozenset[Address]) -> None:
        for gone in self._connected - nodes:
            try:
                self._socket.disconnect(gone.endpoint)
            except self._zmq.ZMQError:
                continue  # it was never connected
        for node in sorted(nodes - self._connected, key=lambda one: one.endpoint):
            try:
                self._secure(node)
                self._socket.connect(node.endpoint)
            except (SettingsError, self._zmq.ZMQError) as error:
                self._say("journal_unreachable", f"{node.endpoint}: {error}")
        self._connected = nodes

    def _secure(self, node: Address) -> None:
        """Set the keys for the next connection. Raises `SettingsError` without any that would do."""
        if node.key and not self._key_file:
            raise SettingsError(
                "the node wants a key: set skyhooks_mesh_key to this worker's (`skyhooks keys` makes one)"
            )
        if not node.key:
            if not _is_local(node.endpoint):
                raise SettingsError("other machines could read along, and the node has no key")
            self._socket.setsockopt(self._zmq.CURVE_SERVER, 0)  # back to a connection in the clear
            return
        from skyhooks.keys import read_keys

        keys = read_keys(Path(self._key_file))
        self._socket.setsockopt(self._zmq.CURVE_SECRETKEY, keys.secret.encode())
        self._socket.setsockopt(self._zmq.CURVE_PUBLICKEY, keys.public.encode())
        self._socket.setsockopt(self._zmq.CURVE_SERVERKEY, node.key.encode())


def _is_local(endpoint: str) -> bool:
    """Whether only this machine can reach an endpoint."""
    if not endpoint.startswith("tcp://"):
        return endpoint.startswith("ipc://")
    try:
        host = urlsplit(endpoint).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
