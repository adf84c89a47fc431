"""``skyhooks numbers``: becomes ``python -P -m workers.numbers``."""

import os
import sys

import click


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def numbers(arguments: tuple[str, ...]) -> None:
    """Serve numbers that count up; `skyhooks numbers --help` lists its options.

    Example: skyhooks numbers --listen 127.0.0.1:7000 --rate-per-minute 600
    """
    command = (sys.executable, "-P", "-m", "workers.numbers", *arguments)
    os.execv(command[0], command)  # noqa: S606  # our own program, no shell
