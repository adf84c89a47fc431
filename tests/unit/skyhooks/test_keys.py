"""Key files: secret to others, read back as they were written, and nothing else is taken for a key."""

import stat
from pathlib import Path

import pytest

from skyhooks.errors import SettingsError
from skyhooks.keys import make_keys, parse_key, read_allowed, read_keys, write_keys


def test_a_pair_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    pair = make_keys()
    public, secret = write_keys(tmp_path / "new" / "folder", "node-1", pair)
    assert read_keys(secret) == pair
    assert public.read_text() == f"{pair.public}\n"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new" / "folder").stat().st_mode) == 0o700


def test_each_pair_is_another_and_its_secret_is_not_shown() -> None:
    one, other = make_keys(), make_keys()
    assert one.secret != other.secret
    assert one.secret not in repr(one)
    assert one.public in repr(one)


@pytest.mark.parametrize("existing", ["node.pub", "node.key"])
def test_keys_are_never_overwritten(tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).write_text("mine")
    with pytest.raises(SettingsError, match=f"{existing} exists"):
        write_keys(tmp_path, "node", make_keys())
    assert [path.name for path in tmp_path.iterdir()] == [existing]


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 65, "a b", "a\n"])
def test_a_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="1 to 64 letters"):
        write_keys(tmp_path, name, make_keys())


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot write keys into"):
        write_keys(tmp_path / "file", "node", make_keys())


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    _, secret = write_keys(tmp_path, "node", make_keys())
    secret.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        read_keys(secret)


@pytest.mark.parametrize("text", ["", "short", "x" * 41, "#" * 40, "ü" * 40, " " * 40, f"{'x' * 40}\n{'x' * 40}"])
def test_what_is_no_key_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    path = tmp_path / "node.key"
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    with pytest.raises(SettingsError, match=r"node\.key") as error:
        read_keys(path)
    assert not text or text not in str(error.value)


def test_a_missing_key_file_is_said_with_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="skyhooks keys"):
        read_keys(tmp_path / "none.key")


def test_a_folder_allows_the_public_keys_in_it(tmp_path: Path) -> None:
    pairs = [make_keys() for _ in range(3)]
    for number, pair in enumerate(pairs):
        write_keys(tmp_path, f"node-{number}", pair)
    assert read_allowed(tmp_path) == {pair.public for pair in pairs}


def test_a_file_allows_one_key_a_line(tmp_path: Path) -> None:
    one, other = make_keys().public, make_keys().public
    path = tmp_path / "allowed"
    path.write_text(f"# the first floor\n{one}\n\n#\n  {other}  \n")
    assert read_allowed(path) == {one, other}


def test_a_line_that_is_no_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "allowed"
    path.write_text(f"{make_keys().public}\nnonsense\n")
    with pytest.raises(SettingsError, match="allowed, line 2"):
        read_allowed(path)


def test_a_list_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read the allowed keys"):
        read_allowed(tmp_path / "none")


def test_a_key_is_taken_as_it_is() -> None:
    key = make_keys().public
    assert parse_key(key, "here") == key
