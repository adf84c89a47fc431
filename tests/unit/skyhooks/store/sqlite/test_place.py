from pathlib import Path

import pytest

from skyhooks.errors import StoreUnusable
from skyhooks.store.sqlite import place
from skyhooks.store.sqlite.place import kind_of_mount, make_file, refuse_network

MOUNTS = """\
22 1 0:21 / / rw,relatime - ext4 /dev/vda rw
23 22 0:22 / /home rw shared:1 - ext4 /dev/vdb rw
24 23 0:40 / /home/me/net rw shared:2 master:1 - nfs4 server:/export rw
25 23 0:41 / /home/me/with\\040space rw - cifs //server/share rw
26 22 0:42 / /mnt rw - nfs server:/a rw
27 22 0:43 / /mnt rw - tmpfs tmpfs rw
"""


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_file_and_its_folders_are_private(tmp_path: Path) -> None:
    make_file(f"{tmp_path}/a/b/s.db")
    assert [mode(tmp_path / name) for name in ("a", "a/b", "a/b/s.db")] == [0o700, 0o700, 0o600]


def test_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "s.db").write_bytes(b"x")
    (tmp_path / "s.db").chmod(0o640)
    make_file(f"{tmp_path}/s.db")
    assert (tmp_path / "s.db").read_bytes() == b"x"
    assert mode(tmp_path / "s.db") == 0o640


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/s.db", "ext4"),
        ("/home/me/s.db", "ext4"),
        ("/home/me/net/s.db", "nfs4"),
        ("/home/me/network/s.db", "ext4"),
        ("/home/me/with space/s.db", "cifs"),
        ("/mnt/s.db", "tmpfs"),
    ],
)
def test_the_kind_of_mount_is_that_of_the_longest_mount_point(path: str, kind: str) -> None:
    assert kind_of_mount(MOUNTS, path) == kind


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text(f"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / {tmp_path}/net rw - nfs4 s:/x rw\n")
    monkeypatch.setattr(place, "_MOUNTS", f"{tmp_path}/mountinfo")
    refuse_network(f"{tmp_path}/s.db")
    with pytest.raises(StoreUnusable, match=r"network file system \(nfs4\)"):
        refuse_network(f"{tmp_path}/net/s.db")


def test_a_link_into_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text(f"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / {tmp_path}/net rw - nfs4 s:/x rw\n")
    (tmp_path / "local").symlink_to(tmp_path / "net")
    monkeypatch.setattr(place, "_MOUNTS", f"{tmp_path}/mountinfo")
    with pytest.raises(StoreUnusable):
        refuse_network(f"{tmp_path}/local/s.db")


def test_nothing_is_refused_where_mounts_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "_MOUNTS", "/nonexistent/mountinfo")
    refuse_network("/tmp/s.db")
