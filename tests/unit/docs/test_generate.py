"""The pages made from the code are current, and the check would say if they were not."""

import shutil
import subprocess
import sys
from pathlib import Path

from docs.generate import DRAWN, FOLDER, PAGES, settings_page, stale, write
from skyhooks.cli import COMMANDS


def test_a_page_that_was_changed_by_hand_or_is_missing_is_stale(tmp_path: Path) -> None:
    shutil.copy(FOLDER / DRAWN, tmp_path)
    write(tmp_path)
    assert stale(tmp_path) == []
    (tmp_path / "cli.md").write_text("other")
    (tmp_path / "settings.md").unlink()
    assert sorted(stale(tmp_path)) == ["cli.md", "settings.md"]


def test_every_command_is_on_the_page_with_an_example() -> None:
    sections = PAGES["cli.md"]().split("\n## ")[1:]
    assert [section.split("\n")[0] for section in sections if "\n  Example: " not in section] == []
    assert {f"skyhooks {name}" for name in COMMANDS} <= {section.split("\n")[0] for section in sections}


def test_every_setting_is_listed_once() -> None:
    for table in settings_page().split("\n## ")[1:]:
        names = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
        assert sorted(set(names)) == names


def test_the_pages_are_what_the_code_says() -> None:
    # As a program, whose state no other test has touched.
    subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=FOLDER.parent, check=True)
