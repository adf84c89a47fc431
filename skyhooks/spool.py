"""The spool: a local folder where results wait that could not be delivered in time.

A parcel is written to a dot-file, fsynced, renamed and the folder fsynced; after that not even a power cut loses it.
Any process may put parcels in; one at a time takes them out (it flocks ``.drain``), in the order in which they came.
A file that cannot be read is moved to ``damaged/`` and reported.
"""

import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import structlog

from skyhooks.errors import Refused, SkyhooksError
from skyhooks.parcel import Contents
from skyhooks.webhook import parse_webhook

log = structlog.get_logger()

SUFFIX: Final = ".parcel"

_contents = msgspec.json.Decoder(Contents)


class SpoolFull(SkyhooksError):
    """The spool has reached its size; what does not fit stays with whoever has it."""


class Spool:
    """The folder `root`, holding up to `size` bytes. Nothing is touched before the first call."""

    def __init__(self, root: Path, size: int) -> None:
        self.root = root
        self._size = size

    def put(self, contents: Contents) -> Path:
        """Keep a parcel's contents durably. Raises `SpoolFull`, or `OSError` when the disk refuses."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        body = msgspec.json.encode(contents)
        content = b"%s\n%s" % (_digest(body), body)
        if self._used() + len(content) > self._size:
            raise SpoolFull(f"the spool {self.root} would exceed skyhooks_spool_size ({self._size} bytes)")
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex}{SUFFIX}"
        draft, path = self.root / f".{name}", self.root / name
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.rename(draft, path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        _sync_folder(self.root)
        return path

    def waiting(self, limit: int) -> list[tuple[Path, Contents]]:
        """The oldest parcels, up to `limit`. Damaged ones are set aside on the way."""
        found = []
        for path in self._paths()[:limit]:
            with suppress(FileNotFoundError):
                contents = _read(path)
                if contents is None:
                    self._set_aside(path)
                else:
                    found.append((path, contents))
        return found

    def remove(self, path: Path) -> None:
        """Forget a parcel that has arrived."""
        path.unlink(missing_ok=True)

    @contextmanager
    def draining(self) -> Iterator[bool]:
        """The right to take parcels out; False while another process has it or there is nothing to take."""
        if not self._paths():
            yield False
            return
        lock = os.open(self.root / ".drain", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            try:
                yield True
            finally:
                # Closing is not enough: a process of the pool that was forked meanwhile has the descriptor too, and
                # would hold the lock for as long as it lives.
                fcntl.flock(lock, fcntl.LOCK_UN)
        finally:
            os.close(lock)

    def _paths(self) -> list[Path]:
        try:
            names = os.listdir(self.root)
        except FileNotFoundError:
            return []
        return [self.root / name for name in sorted(names) if name.endswith(SUFFIX) and not name.startswith(".")]

    def _used(self) -> int:
        total = 0
        for path in self._paths():
            with suppress(FileNotFoundError):
                total += path.stat().st_size
        return total

    def _set_aside(self, path: Path) -> None:
        damaged = self.root / "damaged"
        damaged.mkdir(mode=0o700, exist_ok=True)
        os.rename(path, damaged / path.name)
        log.error("spool_file_damaged", kept=str(damaged / path.name))


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).hexdigest().encode()


def _read(path: Path) -> Contents | None:
    """The contents of a spooled file, None when it is damaged or of a version that this one cannot read."""
    digest, _, body = path.read_bytes().partition(b"\n")
    if digest != _digest(body):
        return None
    try:
        contents = _contents.decode(body)
        if contents.webhook:
            parse_webhook(contents.webhook)
    except (msgspec.DecodeError, Refused):
        return None
    return contents


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
