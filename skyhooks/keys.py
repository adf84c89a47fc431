"""The CURVE keys of the mesh and the files they are in.

Each node has a pair. The public key is known to the others, through the roster and their lists of allowed keys; the
secret one stays in a file that only its owner can read. Keys are written in Z85, 40 characters (ZeroMQ RFC 32).
"""

import os
import re
import struct
from pathlib import Path
from typing import Final

import msgspec
import zmq
from zmq.utils import z85

from skyhooks.errors import SettingsError, shown

PUBLIC_SUFFIX: Final = ".pub"
SECRET_SUFFIX: Final = ".key"  # noqa: S105  # of a file

_KEY: Final = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}\Z")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


class Keys(msgspec.Struct, frozen=True):
    """A pair of CURVE keys in Z85. The secret one is not shown."""

    public: str
    secret: str

    def __repr__(self) -> str:
        return f"Keys(public={self.public!r})"


def make_keys() -> Keys:
    """A new pair, from the operating system's random numbers."""
    public, secret = zmq.curve_keypair()
    return Keys(public.decode(), secret.decode())


def write_keys(folder: Path, name: str, keys: Keys) -> tuple[Path, Path]:
    """Write ``NAME.pub`` and ``NAME.key`` (for its owner only) into `folder` and return their paths.

    Raises `SettingsError` when `name` is no file name, or when a file is there already or cannot be written.
    """
    if not _NAME.match(name):
        raise SettingsError(
            f"the name of a pair of keys is 1 to 64 letters, digits and . _ -, a letter or digit first; "
            f"got {shown(name)}"
        )
    public, secret = folder / f"{name}{PUBLIC_SUFFIX}", folder / f"{name}{SECRET_SUFFIX}"
    if there := [str(path) for path in (public, secret) if path.exists()]:
        raise SettingsError(f"{' and '.join(there)} exists: choose another name, or delete it if no node uses it")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(secret, keys.secret, 0o600)
        _write(public, keys.public, 0o644)
    except OSError as error:
        raise SettingsError(f"cannot write keys into {folder}: {error.strerror}") from error
    return public, secret


def read_keys(path: Path) -> Keys:
    """The pair whose secret key is in the file `path`.

    Raises `SettingsError` when it cannot be read, holds something else, or may be read by others.
    """
    try:
        others = path.stat().st_mode & 0o077
        text = path.read_text("ascii").strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read the key file {path}: {error}; `skyhooks keys` makes one") from error
    if others:
        raise SettingsError(f"{path} holds a secret and others may read it: run chmod 600 {path}")
    secret = parse_key(text, str(path))
    return Keys(zmq.curve_public(secret.encode()).decode(), secret)


def read_allowed(path: Path) -> frozenset[str]:
    """The public keys in the ``*.pub`` files of a folder, or in one file, one a line. ``#`` begins a comment.

    Raises `SettingsError`, naming file and line, for anything that is no key.
    """
    try:
        files = sorted(path.glob(f"*{PUBLIC_SUFFIX}")) if path.is_dir() else [path]
        lines = [
            (f"{file}, line {number}", line.strip())
            for file in files
            for number, line in enumerate(file.read_text("ascii").splitlines(), 1)
        ]
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read the allowed keys in {path}: {error}") from error
    # No key begins with #: the first of five Z85 digits never stands for 84.
    return frozenset(parse_key(line, where) for where, line in lines if line and not line.startswith("#"))


def parse_key(text: str, where: str) -> str:
    """`text`, when it is a key in Z85. Raises `SettingsError` that names `where` and does not repeat the text."""
    try:
        decoded = z85.decode(text.encode()) if _KEY.match(text) else b""
    except struct.error:
        # Five characters of Z85 can say more than four bytes hold.
        decoded = b""
    if len(decoded) != 32:
        raise SettingsError(f"{where}: expected a key, 40 characters of Z85; got {len(text)} characters that are none")
    return text


def _write(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(f"{text}\n")
