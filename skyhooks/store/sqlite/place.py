"""Where the store's file may be, and how it is made: private to its user, on a file system of this machine."""

import errno
import os
import re
from typing import Final

from skyhooks.errors import StoreUnusable

_MOUNTS: Final = "/proc/self/mountinfo"
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_NETWORK: Final = frozenset(
    {"afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
)


def make_file(path: str) -> None:
    """Make an empty file with mode 0600 and its missing folders with 0700, unless it is there. Raises `OSError`."""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", path)
    if os.path.lexists(path):
        return
    folder = os.path.dirname(path)
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for name in reversed(missing):
        try:
            os.mkdir(name, 0o700)
        except FileExistsError:
            if not os.path.isdir(name):
                raise
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_network(path: str) -> None:
    """Refuse a second host: SQLite's WAL works through shared memory, which a network file system does not share.

    Raises `StoreUnusable`. Where the system does not tell its mounts, nothing is refused.
    """
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as mounts:
            kind = kind_of_mount(mounts.read(), os.path.realpath(path))
    except OSError:
        return
    if kind in _NETWORK:
        raise StoreUnusable(
            f"{path} is on a network file system ({kind}), and SQLite serves one machine: name a file on a local disk, "
            "or a mongodb:// store for several machines"
        )


def kind_of_mount(mounts: str, path: str) -> str:
    """The file system type of the mount that `path` is on; `mounts` is in the form of proc(5) mountinfo."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields.split(" ")[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        # The last of equal mount points hides the earlier ones.
        if inside and len(point) >= best:
            best, kind = len(point), rest.split(" ")[0]
    return kind
