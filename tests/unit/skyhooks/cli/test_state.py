"""The state folder of ``skyhooks up``."""

import os
import stat
from pathlib import Path

import click
import pytest

from skyhooks.cli.state import State, default_folder
from skyhooks.errors import SettingsError
from skyhooks.signature import Secret
from skyhooks.store import default_url


def test_the_default_store_is_in_the_default_folder() -> None:
    environ = {"XDG_STATE_HOME": "/var/state", "SKYHOOKS_STORE": "memory://"}
    assert default_folder(environ) == Path("/var/state/skyhooks")
    assert State(default_folder(environ)).store_url == default_url({"XDG_STATE_HOME": "/var/state"})


def test_folder_and_secret_are_for_their_user_only(tmp_path: Path) -> None:
    state = State(tmp_path / "new" / "state")
    state.occupy()
    state.secret()
    modes = [stat.S_IMODE(os.stat(path).st_mode) for path in (state.folder, state.secret_file)]
    assert modes == [0o700, 0o600]


def test_the_secret_is_drawn_once(tmp_path: Path) -> None:
    first = State(tmp_path).secret()
    Secret(first)
    assert State(tmp_path).secret() == first
    assert State(tmp_path / "..").secret() != first


def test_a_damaged_secret_is_said_and_kept(tmp_path: Path) -> None:
    State(tmp_path).secret_file.write_text("whsec_damaged")
    with pytest.raises(SettingsError):
        State(tmp_path).secret()
    assert State(tmp_path).secret_file.read_text() == "whsec_damaged"


def test_one_at_a_time_may_use_a_folder(tmp_path: Path) -> None:
    first = State(tmp_path)
    first.occupy()
    with pytest.raises(click.ClickException) as caught:
        State(tmp_path).occupy()
    assert f"another `skyhooks up` (process {os.getpid()}) runs on {tmp_path}" in caught.value.message
    assert "--state" in caught.value.message


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(click.ClickException, match="cannot be used"):
        State(tmp_path / "file" / "state").occupy()
