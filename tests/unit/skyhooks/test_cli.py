"""The command line as a whole: its commands, its help, and how errors end it."""

import os
import sys

import pytest
from click.testing import CliRunner

from skyhooks import __version__
from skyhooks.cli import COMMANDS, main
from tests.conftest import Spawn


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments, prog_name="skyhooks")
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(autouse=True)
def stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that becomes another program must not take the tests with it."""

    def refuse(path: str, *_: object) -> None:
        raise AssertionError(f"it would have become {path}")

    monkeypatch.setattr(os, "execve", refuse)


def test_help_lists_every_command_and_where_to_begin() -> None:
    text = run("--help")
    assert all(f"\n  {command} " in text for command in COMMANDS)
    assert "skyhooks up" in text


BECOME_ANOTHER = ("gateway", "numbers", "forwarder")
"""Commands that are replaced by another program; tests/unit/docs looks at their help."""


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in BECOME_ANOTHER])
def test_every_command_has_help_with_an_example(command: str) -> None:
    assert "Example: " in run(command, "--help")
    assert run(command, "-h") == run(command, "--help")


def test_version() -> None:
    assert run("--version") == f"skyhooks, version {__version__}\n"


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["frobnicate"])
    assert result.exit_code == 2
    assert "No such command 'frobnicate'" in result.stderr


def test_a_simple_command_does_not_load_celery(spawn: Spawn) -> None:
    code = "import sys; from skyhooks.cli import main\ntry: main(['secret'])\nfinally: print('celery' in sys.modules)"
    process = spawn([sys.executable, "-c", code])
    assert process.wait() == 0
    assert process.lines[-1] == "False"
