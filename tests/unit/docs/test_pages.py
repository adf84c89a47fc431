"""What the pages for people say can be done: links lead somewhere, commands are accepted."""

import re
import shlex
from pathlib import Path

import click
import pytest

from gateway.__main__ import main as gateway
from skyhooks.cli import COMMANDS, main

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
INLINE = re.compile(r"`(skyhooks [a-z]+[^`]*)`")
TARGET = re.compile(r"\bmake ([a-z]+)\b")
MODULE = re.compile(r"`((?:skyhooks|gateway|workers|tests|docs|deploy)/[\w/.]+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if not link.startswith("http")]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_targets_of_make_are_there(page: Path) -> None:
    known = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    code = [*BLOCK.findall(page.read_text()), *re.findall(r"`(make[^`]*)`", page.read_text())]
    assert set(TARGET.findall("\n".join(code))) <= set(known)


@pytest.mark.parametrize(
    "page", [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "architecture.md"], ids=lambda page: page.name
)
def test_files_that_are_named_are_there(page: Path) -> None:
    named = [name for name in MODULE.findall(page.read_text()) if "test_ring" not in name]
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_command_in_the_readme_is_accepted() -> None:
    text = (ROOT / "README.md").read_text()
    lines = [line for block in BLOCK.findall(text) for line in block.splitlines() if line.startswith("skyhooks ")]
    assert len(lines) >= 8
    for line in [*lines, *INLINE.findall(text)]:
        accept(shlex.split(line.rstrip("&"), comments=True)[1:])


def test_a_command_that_does_not_exist_is_not_accepted() -> None:
    for wrong in (["frobnicate"], ["tail", "a", "--sinse", "0"], ["submit"], ["gateway", "--port", "1"]):
        with pytest.raises((click.UsageError, AssertionError)):
            accept(wrong)


def accept(arguments: list[str]) -> None:
    """Parse a command as the program does, without running it. Raises what the program would say."""
    name, *rest = arguments
    assert name in COMMANDS
    # Commands remember the help option of the context that they were parsed in first.
    context = click.Context(main, **main.context_settings)
    command = gateway if name == "gateway" else main.get_command(context, name)
    assert command is not None
    if isinstance(command, click.Group) and rest:
        command, rest = command.commands[rest[0]], rest[1:]
    if rest or not isinstance(command, click.Group):
        command.make_context(name, rest, parent=context)
