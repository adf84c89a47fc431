"""``skyhooks``: the command line. One file a command; this one finds them and turns errors into sentences."""

from importlib import import_module
from typing import Any, Final

import click

from skyhooks import __version__
from skyhooks.errors import SettingsError, SkyhooksError

COMMANDS: Final = (
    *("up", "gateway", "worker", "submit", "tail", "publish", "hooks", "doctor", "secret"),
    *("cluster", "journal", "numbers", "keys", "forwarder"),
    *("run", "start", "stop", "restart", "reload", "status"),
)
"""In the order in which people meet them. Each is the object of its name in the module of its name."""


class Commands(click.Group):
    """A group that imports a command when it is used, so that ``skyhooks secret`` does not wait for Celery."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command's name."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name, None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"skyhooks.cli.{cmd_name}"), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. What skyhooks raises ends it with one sentence: exit code 2 for a wrong setting, else 1."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise click.UsageError(str(error)) from error
        except SkyhooksError as error:
            raise click.ClickException(str(error)) from error


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with `skyhooks up`: it runs everything on this machine and says where to look.",
)
@click.version_option(__version__, prog_name="skyhooks")
def main() -> None:
    """Gets the results of Celery tasks back to the people who wait for them.

    Example: skyhooks up
    """
