"""What a node takes from the user and the machine it runs on: the folder for its sockets, and the store's file."""

import os
import secrets
import socket
import stat
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.settings import PEER, NodeSettings
from skyhooks.errors import SettingsError
from skyhooks.store import default_url

OLD: Final = 60.0
"""Seconds after which a socket that nobody listens on is taken for one that a killed process left."""


def runtime_folder(environ: Mapping[str, str]) -> Path:
    """``$XDG_RUNTIME_DIR/skyhooks``, or a folder of this user in the one for temporary files; made when it is missing.

    Raises `SettingsError` when somebody else could put sockets there.
    """
    base = environ.get("XDG_RUNTIME_DIR")
    folder = Path(base) / "skyhooks" if base else Path(tempfile.gettempdir()) / f"skyhooks-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise SettingsError(f"{folder} cannot be made: {error}; name a folder with the setting mesh") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise SettingsError(f"{folder} is not this user's alone; remove it, or name another with the setting mesh")
    return folder


def make_mesh_address(environ: Mapping[str, str]) -> str:
    """The address of a new mesh socket on this machine. What killed processes have left there goes."""
    folder = runtime_folder(environ)
    for path in folder.iterdir():
        if path.is_socket() and time.time() - path.stat().st_mtime > OLD and not _listened_to(path):
            path.unlink(missing_ok=True)
    return f"ipc://{folder / secrets.token_hex(6)}"


def with_defaults(settings: NodeSettings, environ: Mapping[str, str]) -> NodeSettings:
    """The settings, with the store and the mesh address of this user and machine where they leave these open.

    Raises `SettingsError` (see `runtime_folder`).
    """
    if not settings.store:
        settings.values["store"] = "memory://" if settings.coordinator == PEER else default_url(environ)
    if not settings.mesh:
        settings.values["mesh"] = make_mesh_address(environ)
    return settings


def _listened_to(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
