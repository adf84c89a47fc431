import os
import socket
from pathlib import Path

import pytest

from gateway.runtime import OLD, make_mesh_address, runtime_folder, with_defaults
from gateway.settings import NodeSettings
from skyhooks.errors import SettingsError


def test_sockets_are_where_the_user_s_runtime_files_are(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    address = make_mesh_address(environ)
    assert address.startswith(f"ipc://{tmp_path}/skyhooks/")
    assert make_mesh_address(environ) != address
    assert (tmp_path / "skyhooks").stat().st_mode & 0o777 == 0o700


def test_without_such_a_folder_it_is_one_of_the_user_s_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert runtime_folder({}) == tmp_path / f"skyhooks-{os.getuid()}"


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "skyhooks").mkdir()
    (tmp_path / "skyhooks").chmod(0o777)
    with pytest.raises(SettingsError, match="not this user's alone"):
        runtime_folder({"XDG_RUNTIME_DIR": str(tmp_path)})


def test_a_folder_that_cannot_be_made_is_a_setting_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="name a folder"):
        runtime_folder({"XDG_RUNTIME_DIR": str(tmp_path / "file")})


def test_only_sockets_that_a_dead_process_left_are_removed(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    folder = runtime_folder(environ)
    for name in ("dead", "young", "live"):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(folder / name))
            if name != "young":
                os.utime(folder / name, (0, OLD))
    (folder / "live").unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "live"))
        listening.listen()
        os.utime(folder / "live", (0, OLD))
        make_mesh_address(environ)
        assert {path.name for path in folder.iterdir()} == {"young", "live"}


def test_what_settings_leave_open_is_filled_in(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    filled = with_defaults(NodeSettings(), environ)
    assert filled.store == f"sqlite://{tmp_path}/skyhooks/skyhooks.db"
    assert filled.mesh.startswith("ipc://")
    given = with_defaults(NodeSettings(store="memory://", mesh="off"), environ)
    assert (given.store, given.mesh) == ("memory://", "off")
