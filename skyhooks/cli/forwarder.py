"""``skyhooks forwarder``: becomes ``python -P -m gateway.mesh.forwarder``."""

import os
import sys

import click


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def forwarder(arguments: tuple[str, ...]) -> None:
    """Run a forwarder that replaces the connections between nodes; `skyhooks forwarder --help` lists its options.

    Example: skyhooks forwarder --listen tcp://127.0.0.1:7100
    """
    command = (sys.executable, "-P", "-m", "gateway.mesh.forwarder", *arguments)
    os.execv(command[0], command)  # noqa: S606  # our own program, no shell
