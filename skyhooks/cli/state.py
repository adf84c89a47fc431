"""The folder where ``skyhooks up`` keeps what it needs: the store's file, the embedded broker and a secret."""

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

import click

from skyhooks.signature import make_secret, parse_secrets
from skyhooks.store import default_url


def default_folder(environ: Mapping[str, str]) -> Path:
    """The folder of the default store, so that ``skyhooks up`` and a lone worker meet there."""
    return Path(default_url({**environ, "SKYHOOKS_STORE": ""}).removeprefix("sqlite://")).parent


class State:
    """The state folder at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._lock = -1

    @property
    def store_url(self) -> str:
        """The store's URL when no other is asked for."""
        return f"sqlite://{self.folder / 'skyhooks.db'}"

    @property
    def broker_url(self) -> str:
        """The embedded broker's URL when no other is asked for."""
        return f"file://{self.folder / 'broker'}"

    @property
    def secret_file(self) -> Path:
        """Where the secret is kept, readable for this user only."""
        return self.folder / "secret"

    def occupy(self) -> None:
        """Make the folder and take it for this process until it ends.

        Raises `click.ClickException` when it cannot be made or somebody else has it.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.folder / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise click.ClickException(
                f"the state folder {self.folder} cannot be used ({error.strerror}); name another with --state"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._lock, 20, 0).decode().strip()
            raise click.ClickException(
                f"another `skyhooks up` (process {holder}) runs on {self.folder}; stop it, or name another with --state"
            ) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def secret(self) -> str:
        """The folder's secret, drawn the first time. Raises `SettingsError` when the file holds something else."""
        try:
            descriptor = os.open(self.secret_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            text = self.secret_file.read_text().strip()
            parse_secrets(text)
            return text
        with os.fdopen(descriptor, "w") as file:
            file.write(text := make_secret(os.urandom(32)))
        return text
