"""The file that says which process runs a configuration, and what that process says of itself.

The process holds a lock (flock(2)) on the file for as long as it lives, so a file that was left behind is told from one
that counts. Beside it lies a record in JSON, replaced whole at each change.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

import msgspec

from skyhooks.errors import SettingsError
from skyhooks.tree import Outline

LOOKED_AT_SECONDS: Final = 0.5
"""How long taking the file is tried: whoever asks for the holder has the lock for an instant."""
PAUSE: Final = 0.01


class Record(msgspec.Struct, frozen=True):
    """What a running process says: its services, since when it runs (seconds since 1970), and its last reload.

    `reloads` counts the attempts; `outcome` is a sentence on the last one, and `refused` whether it changed nothing.
    `overrides` are the settings of its command line, ``name=value``; `log` is its log file, if it has one.
    """

    pid: int
    since: float
    services: Outline
    ready: bool = False
    reloads: int = 0
    outcome: str = ""
    refused: bool = False
    overrides: tuple[str, ...] = ()
    log: str = ""


class PidFile:
    """The file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._record = path.with_name(f"{path.name}.json")
        self._lock = -1

    def take(self) -> None:
        """Write this process into the file, for as long as it lives.

        Raises `SettingsError` when another process has it, or it cannot be written.
        """
        deadline = time.monotonic() + LOOKED_AT_SECONDS
        while not self._locked():
            if time.monotonic() > deadline:
                raise SettingsError(f"process {self._text()} runs this already (its pid file is {self.path})")
            time.sleep(PAUSE)
        self._record.unlink(missing_ok=True)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def give_back(self) -> None:
        """Remove the file, if it was taken."""
        if self._lock >= 0:
            self._record.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1

    def holder(self) -> int:
        """The process that runs; 0 when none does."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise SettingsError(f"the pid file {self.path} cannot be read: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = self._text()
            return int(text) if text.isdigit() else 0
        else:
            return 0
        finally:
            os.close(descriptor)

    def say(self, record: Record) -> None:
        """Replace the record. Raises `OSError`."""
        draft = self._record.with_name(f".{self._record.name}.{os.getpid()}")
        draft.write_bytes(msgspec.json.encode(record))
        draft.replace(self._record)

    def record(self) -> Record | None:
        """What the running process says; None when there is none, or it has not said anything yet."""
        holder = self.holder()
        try:
            found = msgspec.json.decode(self._record.read_bytes(), type=Record)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        return found if holder and found.pid == holder else None

    def _locked(self) -> bool:
        """Lock the file, which another process may be removing just now."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise SettingsError(f"the pid file {self.path} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(self.path)):
                self._lock = descriptor
                return True
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(descriptor)
        return False

    def _text(self) -> str:
        try:
            return self.path.read_text().strip()
        except FileNotFoundError:
            return ""
