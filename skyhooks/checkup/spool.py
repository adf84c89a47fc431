"""The spool: what the workers of this machine could not deliver in time."""

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from skyhooks.checkup.finding import Finding, Mistake, check, good
from skyhooks.checkup.subject import Subject
from skyhooks.spool import SUFFIX

OLD: Final = 60.0
"""Seconds after which a result that waits says that nobody takes it out: a worker looks every second."""
NEARLY_FULL: Final = 0.9

SPOOL_UNWRITABLE: Final = Mistake(
    "spool_unwritable",
    "fail",
    "the spool's folder cannot be made or written to by this user, so a worker cannot keep what it cannot deliver.",
    "give the user of the workers the right to write there, or name another folder with skyhooks_spool",
)
SPOOL_WAITING: Final = Mistake(
    "spool_waiting",
    "warn",
    f"results have waited in the spool for more than {OLD:g} seconds: no worker of this app runs on this machine, or "
    "it can reach neither a gateway nor the store.",
    "start a worker of the app here (it delivers them), and mend what fails in the other lines",
)
SPOOL_DAMAGED: Final = Mistake(
    "spool_damaged",
    "warn",
    "files in the spool could not be read and were set aside.",
    "look at them in {folder}, and delete them once they are of no use",
)
SPOOL_FULL: Final = Mistake(
    "spool_full",
    "fail",
    "the spool is nearly as large as it may be; once it is full, tasks wait until their results are delivered.",
    "let it drain (see spool_waiting), or raise skyhooks_spool_size, which is {size} bytes",
)


class Waiting(msgspec.Struct, frozen=True):
    """What is in a spool: how many results, how many bytes, the age of the oldest in seconds, and damaged files."""

    count: int = 0
    size: int = 0
    oldest: float = 0.0
    damaged: int = 0


def waiting_in(folder: Path, now: float) -> Waiting:
    """What is in the spool in `folder`; `now` is in seconds since 1970. Raises `OSError` when it cannot be read."""
    ages, sizes = [], []
    for entry in _entries(folder):
        if entry.name.endswith(SUFFIX) and not entry.name.startswith("."):
            try:
                status = entry.stat()
            except FileNotFoundError:  # delivered meanwhile
                continue
            ages.append(now - status.st_mtime)
            sizes.append(status.st_size)
    damaged = sum(1 for entry in _entries(folder / "damaged") if entry.is_file())
    return Waiting(len(ages), sum(sizes), max(ages, default=0.0), damaged)


@check(SPOOL_UNWRITABLE, SPOOL_WAITING, SPOOL_DAMAGED, SPOOL_FULL)
def spool(subject: Subject) -> Iterator[Finding]:
    """Whether a worker could keep results in its spool, and whether any wait there."""
    folder, size = subject.spool_folder, subject.settings.spool_size
    try:
        _write_into(folder)
        found = waiting_in(folder, time.time())
    except OSError as error:
        yield SPOOL_UNWRITABLE.found(f"spool: {folder} cannot be used: {error.strerror}")
        return
    if found.damaged:
        what = f"spool: {found.damaged} damaged files in {folder / 'damaged'}"
        yield SPOOL_DAMAGED.found(what, folder=folder / "damaged")
    if found.size >= NEARLY_FULL * size:
        yield SPOOL_FULL.found(f"spool: {folder} holds {found.size} of {size} bytes", size=size)
    if found.oldest > OLD:
        what = f"spool: {found.count} results wait in {folder}, the oldest for {found.oldest:.0f} s"
        yield SPOOL_WAITING.found(what)
    else:
        yield good(f"spool: {folder} can be written; {found.count or 'no'} results wait there")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _write_into(folder: Path) -> None:
    """Write a file as the spool does, and delete it. Raises `OSError`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    trial = folder / f".checkup-{uuid.uuid4().hex}"
    os.close(os.open(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    trial.unlink()
