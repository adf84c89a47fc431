"""``skyhooks keys``."""

from pathlib import Path

from skyhooks.keys import read_keys
from tests.unit.skyhooks.cli.conftest import Run


def test_it_writes_a_pair_and_prints_the_public_key(run: Run, tmp_path: Path) -> None:
    result = run("keys", "--folder", str(tmp_path), "node-1")
    assert result.exit_code == 0
    assert result.stdout.strip() == read_keys(tmp_path / "node-1.key").public
    assert (tmp_path / "node-1.pub").read_text() == result.stdout
    assert "Next:" in result.stderr


def test_it_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    run("keys", "--folder", str(tmp_path), "node-1")
    before = read_keys(tmp_path / "node-1.key")
    result = run("keys", "--folder", str(tmp_path), "node-1")
    assert result.exit_code == 2
    assert "exists" in result.stderr
    assert read_keys(tmp_path / "node-1.key") == before


def test_a_name_that_is_no_file_name_is_refused(run: Run, tmp_path: Path) -> None:
    result = run("keys", "--folder", str(tmp_path), "../node")
    assert result.exit_code == 2
    assert "1 to 64 letters" in result.stderr
