"""``skyhooks gateway``: becomes ``python -P -m gateway``."""

import os
import sys

import click


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def gateway(arguments: tuple[str, ...]) -> None:
    """Run one gateway node; `skyhooks gateway --help` lists its options.

    Example: skyhooks gateway --listen 127.0.0.1:9100 --store memory:// --open
    """
    command = (sys.executable, "-P", "-m", "gateway", *arguments)
    os.execv(command[0], command)  # noqa: S606  # our own program, no shell
