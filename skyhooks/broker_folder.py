"""The folder under the embedded broker: queues, exchanges and the messages that consumers have taken, as plain files.

::

    queues/<queue>/<time>-<random>     messages that wait, oldest name first
    taken/<owner>/<queue>=<name>       messages a consumer has and has not settled; taken/<owner>.lock is flocked by it
    exchanges/<exchange>               bindings: JSON [[routing key, pattern, queue], …]
    held/<queue>                       auto-delete queues, flocked (shared) by everyone who declared them
    damaged/                           what could not be read, kept for people to look at

Three rules make it safe for any number of processes:

1. A file is written under a name with a leading dot and renamed when it is whole, so nobody reads half of one.
2. A message changes hands by rename(2), which succeeds for one process only.
3. Whoever holds something flocks a file for it; the kernel lets go when the process ends, however it ends. So what a
   dead consumer had taken can be told from what a live one is busy with, at any time.
 A message outlives the death of processes; it is not fsynced, so a power cut may lose what was queued in the last
seconds.
"""

import fcntl
import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

import msgspec
import structlog

log = structlog.get_logger()

STALE: Final = 600.0
"""Seconds after which a dot-file counts as left behind by a writer that died."""

_bindings = msgspec.json.Decoder(list[tuple[str, str, str]])


class Taken(NamedTuple):
    """A message that this process has: `tag` names it until it is settled or given back."""

    tag: str
    payload: bytes


class Recovered(NamedTuple):
    """What a recovery found in the hands of dead consumers: messages queued again, and messages that were finished."""

    requeued: int = 0
    finished: int = 0


class BrokerFolder:
    """One process's view of the folder `root`, which must be on a local disk. Threads may share it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._queues = root / "queues"
        self._taken = root / "taken"
        self._exchanges = root / "exchanges"
        self._held = root / "held"
        self._listings: dict[str, deque[str]] = {}
        self._holds: dict[str, int] = {}
        self._owner: Path | None = None
        self._owner_lock = -1
        self._pid = os.getpid()

    def prepare(self) -> None:
        """Make the folders, for this user only (0700). Raises `OSError`."""
        for folder in (self.root, self._queues, self._taken, self._exchanges, self._held, self.root / "damaged"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, queue: str, payload: bytes) -> None:
        """Queue a message."""
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex}"
        folder = self._queues / _file(queue)
        while True:
            try:
                return _write(folder / name, payload)
            except FileNotFoundError:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def take(self, queue: str) -> Taken | None:
        """The oldest message of a queue, now in this process's hands; None when there is none."""
        folder = self._queues / _file(queue)
        listing = self._listings.setdefault(queue, deque())
        if not listing:
            listing.extend(_names(folder))
        while listing:
            try:
                name = listing.popleft()
            except IndexError:
                return None
            tag = f"{_file(queue)}={name}"
            try:
                target = self._own() / tag
                os.rename(folder / name, target)
            except FileNotFoundError:
                continue
            return Taken(tag, target.read_bytes())
        return None

    def settle(self, tag: str) -> None:
        """Forget a message that was taken. Settling twice does no harm."""
        if self._owner is not None:
            (self._owner / tag).unlink(missing_ok=True)

    def give_back(self, tag: str, payload: bytes | None = None) -> None:
        """Queue a taken message again in its old place, with `payload` instead of what it had."""
        if self._owner is None:
            return
        path = self._owner / tag
        if payload is not None:
            _write(path, payload)
        self._requeue(path)

    def set_aside(self, tag: str) -> None:
        """Move a message that nobody can read to ``damaged/`` and say so."""
        if self._owner is not None:
            os.rename(self._owner / tag, self.root / "damaged" / tag)
            log.error("broker_message_damaged", kept=str(self.root / "damaged" / tag))

    def size(self, queue: str) -> int:
        """How many messages wait in a queue."""
        return len(_names(self._queues / _file(queue)))

    def purge(self, queue: str) -> int:
        """Delete the waiting messages of a queue; how many there were."""
        folder = self._queues / _file(queue)
        count = 0
        for name in _names(folder):
            with suppress(FileNotFoundError):
                (folder / name).unlink()
                count += 1
        return count

    def bindings(self, exchange: str) -> list[tuple[str, str, str]]:
        """(routing key, pattern, queue) of each binding of an exchange."""
        try:
            return _bindings.decode((self._exchanges / _file(exchange)).read_bytes())
        except FileNotFoundError:
            return []

    def bind(self, exchange: str, binding: tuple[str, str, str]) -> None:
        """Add a binding, unless it is there."""
        self._rebind(exchange, lambda bindings: [*[one for one in bindings if one != binding], binding])

    def unbind(self, exchange: str, binding: tuple[str, str, str]) -> None:
        """Remove a binding, if it is there."""
        self._rebind(exchange, lambda bindings: [one for one in bindings if one != binding])

    def hold(self, queue: str) -> None:
        """Keep an auto-delete queue in being for as long as this process lives or until `let_go`."""
        path = self._held / _file(queue)
        while queue not in self._holds:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_SH)
            # A sweep may have deleted the file between open and flock; then the lock is on nothing.
            if _same_file(path, lock):
                self._holds[queue] = lock
            else:
                os.close(lock)

    def let_go(self, queue: str) -> None:
        """Stop holding a queue; the next sweep deletes it unless somebody else holds it."""
        lock = self._holds.pop(queue, None)
        if lock is None:
            return
        if self._pid == os.getpid():
            _unlock(lock)
        else:
            os.close(lock)  # a forked child: the lock is its parent's

    def sweep(self) -> int:
        """Delete the auto-delete queues that nobody holds, and dot-files of dead writers; how many queues went."""
        count = 0
        for name in _names(self._held):
            path = self._held / name
            with suppress(FileNotFoundError), _only_locker(path) as alone:
                if alone and _same_file(path, alone):
                    self._delete_queue(unquote(name))
                    path.unlink()
                    count += 1
        for folder in (self._exchanges, *self._queues.iterdir()):
            _delete_stale(folder)
        return count

    def recover(self, finished: Callable[[bytes], bool]) -> Recovered:
        """Queue again what dead consumers had taken, and drop the messages for which `finished(payload)` is true."""
        requeued = dropped = 0
        for owner in _names(self._taken):
            if owner.endswith(".lock"):
                continue
            lock = self._taken / f"{owner}.lock"
            with suppress(FileNotFoundError), _only_locker(lock) as alone:
                if not alone:
                    continue
                for tag in _names(self._taken / owner):
                    path = self._taken / owner / tag
                    if finished(path.read_bytes()):
                        path.unlink()
                        dropped += 1
                    else:
                        self._requeue(path)
                        requeued += 1
                _delete_stale(self._taken / owner, 0.0)
                (self._taken / owner).rmdir()
                lock.unlink()
        return Recovered(requeued, dropped)

    def close(self) -> None:
        """Let go of everything. Messages still taken stay where they are and are recovered by somebody else."""
        if self._pid != os.getpid():
            return  # a forked child: all of it belongs to its parent
        for queue in list(self._holds):
            self.let_go(queue)
        if self._owner is not None:
            with suppress(OSError):
                self._owner.rmdir()
                (self._taken / f"{self._owner.name}.lock").unlink()
            os.close(self._owner_lock)
            self._owner = None

    def _own(self) -> Path:
        """This process's folder of taken messages, made and locked on first use."""
        while self._owner is None or self._pid != os.getpid():
            name = uuid.uuid4().hex
            lock = os.open(self._taken / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            # Locked before the folder exists, so that a recovery never sees one without its owner.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (self._taken / name).mkdir(mode=0o700)
            self._owner, self._owner_lock, self._pid = self._taken / name, lock, os.getpid()
        return self._owner

    def _requeue(self, path: Path) -> None:
        queue, _, name = path.name.partition("=")
        folder = self._queues / queue
        folder.mkdir(mode=0o700, exist_ok=True)
        os.rename(path, folder / name)

    def _rebind(
        self, exchange: str, change: Callable[[list[tuple[str, str, str]]], list[tuple[str, str, str]]]
    ) -> None:
        lock = os.open(self._exchanges / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = self.bindings(exchange)
            after = change(before)
            if after != before:
                _write(self._exchanges / _file(exchange), msgspec.json.encode(after))
        finally:
            _unlock(lock)

    def _delete_queue(self, queue: str) -> None:
        for exchange in _names(self._exchanges):
            self._rebind(unquote(exchange), lambda bindings: [one for one in bindings if one[2] != queue])
        self.purge(queue)
        with suppress(OSError):
            (self._queues / _file(queue)).rmdir()


def _file(name: str) -> str:
    """`name` as a file name that is neither hidden nor a path."""
    text = quote(name, safe="@:")
    return f"%2E{text[1:]}" if text.startswith(".") else text


def _names(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except FileNotFoundError:
        return []


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.rename(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _delete_stale(folder: Path, age: float = STALE) -> None:
    for entry in os.scandir(folder):
        with suppress(FileNotFoundError):
            stale = entry.name.startswith(".") and time.time() - entry.stat().st_mtime > age
            if stale and entry.name != ".lock":
                os.unlink(entry.path)


def _same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextmanager
def _only_locker(path: Path) -> Iterator[int]:
    """The descriptor of `path`, flocked by nobody else; 0 when somebody has it. Raises `FileNotFoundError`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield 0
    else:
        yield descriptor
    finally:
        _unlock(descriptor)


def _unlock(descriptor: int) -> None:
    """Let go of a lock and its descriptor, of which a process that was forked meanwhile may have a copy."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
