"""The journal on a node: the reporter tells what this node did, the collector takes what others tell and stores it.

Both lose rather than wait. The reporter hands its notes to any node that collects, and keeps a bounded number while
none takes them; the collector keeps a bounded number while the store is away. What is too much is dropped and counted.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Final, Protocol

import msgspec
import structlog
import zmq

from gateway.cluster.roster import Member
from gateway.mesh.security import Security, secure_client, secure_server
from gateway.mesh.socket import Context, LoopSocket, SocketOptions
from skyhooks.channel import ACCOUNTS, TASKS
from skyhooks.errors import SettingsError, StoreError
from skyhooks.journal import MOST, SENT, STORED, Garbage, Note, messages, read_notes
from skyhooks.publication import Draft, Outcome, Publication
from skyhooks.store.base import JournalEntry

log = structlog.get_logger()

WAITING: Final = 10_000
"""Notes that wait to be handed over, or to be stored, at most."""
GATHER_SECONDS: Final = 0.1
"""For how long a node's notes gather before they are handed over."""


class JournalKeeper(Protocol):
    """What is needed of the store."""

    async def add_journal(self, entries: Sequence[JournalEntry]) -> None:
        """See `JournalStore.add_journal`."""
        ...

    async def trim_journal(self, age: float) -> int:
        """See `JournalStore.trim_journal`."""
        ...


class ReporterCounters(msgspec.Struct):
    """What a reporter did, in notes."""

    sent: int = 0
    dropped: int = 0


class CollectorCounters(msgspec.Struct):
    """What a collector did, in entries; `garbage` are messages in no known form."""

    stored: int = 0
    dropped: int = 0
    garbage: int = 0


class Reporter:
    """Tells what node `node` did with publications of accounts and tasks. Made on the loop.

    `subscribers` gives how many a channel has on this node. Progress of tasks is not told, only what has to arrive.
    """

    def __init__(
        self,
        node: str,
        subscribers: Callable[[str], int],
        security: Security | None = None,
        *,
        context: Context,
        options: SocketOptions | None = None,
    ) -> None:
        self.counters = ReporterCounters()
        self._node = node
        self._subscribers = subscribers
        self._security = security
        self._notes: deque[Note] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._connected: set[tuple[str, str]] = set()
        self._socket = LoopSocket(context, zmq.PUSH, None, options)
        # Only what is connected gets anything: notes do not pile up for a node that has died.
        self._socket.raw.setsockopt(zmq.IMMEDIATE, 1)

    def follow(self, members: Mapping[str, Member]) -> None:
        """Hand notes to these nodes from now on, this one included."""
        wanted = {(member.journal, member.key) for member in members.values() if member.journal}
        for endpoint, key in self._connected - wanted:
            self._socket.disconnect(endpoint)
            self._connected.discard((endpoint, key))
        for endpoint, key in wanted - self._connected:
            try:
                secure_client(self._socket, key, self._security)
                self._socket.connect(endpoint)
            except SettingsError as error:
                log.warning("journal_unreachable", endpoint=endpoint, error=str(error))
                continue
            self._connected.add((endpoint, key))

    def note(self, drafts: Sequence[Draft], outcomes: Sequence[Outcome]) -> None:
        """Tell of one commit: what the log made of each draft, and how many subscribers it goes to here."""
        for draft, outcome in zip(drafts, outcomes, strict=True):
            account, task_id = _owners(draft.channels)
            if not (account or task_id) or (draft.task is not None and not draft.task.end):
                continue
            positions = {channel: str(position) for channel, position in outcome.positions.items()}
            self._add(
                Note.of(STORED, self._node, account, task_id, id=draft.id, status=outcome.status, positions=positions)
            )
            if outcome.status == "stored":
                counts = {name: count for name in draft.channels if (count := self._subscribers(name))}
                if counts:
                    self._add(Note.of(SENT, self._node, account, task_id, id=draft.id, subscribers=counts))

    def sent(self, channel: str, publications: Sequence[Publication]) -> None:
        """Tell that publications that another node has committed go to this node's subscribers."""
        account, task_id = _owners((channel,))
        count = self._subscribers(channel) if account or task_id else 0
        for publication in publications if count else ():
            self._add(Note.of(SENT, self._node, account, task_id, id=publication.id, subscribers={channel: count}))

    def close(self) -> None:
        """Hand over what waits, if anybody takes it, and give up the socket."""
        if self._timer is not None:
            self._timer.cancel()
            self._hand_over()
        if self._timer is not None:
            self._timer.cancel()
        self._socket.close()

    def _add(self, note: Note) -> None:
        if len(self._notes) >= WAITING:
            self._notes.popleft()
            self.counters.dropped += 1
        self._notes.append(note)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._hand_over)

    def _hand_over(self) -> None:
        self._timer = None
        while self._notes:
            batch = list(islice(self._notes, MOST))
            if not self._socket.send(next(messages(batch))):
                # Nobody takes anything now.
                self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._hand_over)
                return
            for _ in batch:
                self._notes.popleft()
            self.counters.sent += len(batch)


class Collector:
    """Takes notes from workers and nodes and puts them into `store`, in batches, one every `pause` seconds at most.

    Entries are kept for `age` seconds; each `trim_seconds` older ones are deleted.
    """

    def __init__(
        self,
        store: JournalKeeper,
        security: Security | None = None,
        *,
        context: Context,
        age: float,
        pause: float = 0.5,
        trim_seconds: float = 600.0,
        options: SocketOptions | None = None,
    ) -> None:
        self.endpoint = ""
        self.counters = CollectorCounters()
        self._store = store
        self._security = security
        self._context = context
        self._age = age
        self._pause = pause
        self._trim_seconds = trim_seconds
        self._options = options
        self._entries: deque[JournalEntry] = deque()
        self._came = asyncio.Event()
        self._putting = asyncio.Lock()
        self._socket: LoopSocket | None = None
        self._failing = False

    def start(self, bind: str) -> None:
        """Listen at `bind`; `endpoint` is then the real address.

        Raises `SettingsError` when that cannot be, or when others could reach it without a key.
        """
        if self._security is not None:
            self._security.open(self._context)
        self._socket = LoopSocket(self._context, zmq.PULL, self._take, self._options)
        secure_server(self._socket, bind, self._security)
        self.endpoint = self._socket.bind(bind)

    async def run(self) -> None:
        """Store what comes, and trim, until cancelled; an unavailable store is asked again at the next turn."""
        await asyncio.gather(self._run_store(), self._run_trim())

    async def stop(self) -> None:
        """Take nothing more, and store what has come if the store does so at once."""
        if self._socket is not None:
            self._socket.close(0)
            self._socket = None
            if self._security is not None:
                self._security.close()
        if not self._failing:
            await self._put()

    def _take(self, parts: list[bytes]) -> None:
        try:
            notes = read_notes(parts)
        except Garbage:
            self.counters.garbage += 1
            return
        free = WAITING - len(self._entries)
        self.counters.dropped += max(0, len(notes) - free)
        self._entries.extend(note.entry for note in notes[:free])
        self._came.set()

    async def _run_store(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            while self._entries:
                await self._put()
                await asyncio.sleep(self._pause)

    async def _put(self) -> None:
        """One batch into the store; what it does not take stays."""
        async with self._putting:  # `run` may be at it when the node stops
            await self._put_batch()

    async def _put_batch(self) -> None:
        batch = list(islice(self._entries, MOST * 4))
        if not batch:
            return
        try:
            await self._store.add_journal(batch)
        except StoreError as error:
            if not self._failing:
                log.warning("journal_not_stored", entries=len(self._entries), error=str(error))
            self._failing = True
            return
        except Exception:  # what the store chokes on must not stop the node's other entries, or the node
            log.exception("journal_not_storable", entries=len(batch))
            self.counters.dropped += len(batch)
            self._forget(len(batch))
            return
        self._failing = False
        self.counters.stored += len(batch)
        self._forget(len(batch))

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self._entries.popleft()

    async def _run_trim(self) -> None:
        while True:
            try:
                await self._store.trim_journal(self._age)
            except StoreError as error:
                log.warning("journal_not_trimmed", error=str(error))
            await asyncio.sleep(self._trim_seconds)


def _owners(channels: Sequence[str]) -> tuple[str, str]:
    """The account and the task whose channels these are; empty for those that are neither's."""
    found = {ACCOUNTS: "", TASKS: ""}
    for channel in channels:
        namespace, _, name = channel.partition("/")
        if namespace in found:
            found[namespace] = name
    return found[ACCOUNTS], found[TASKS]
