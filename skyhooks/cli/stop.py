"""``skyhooks stop``: end what runs in the background."""

import signal
from pathlib import Path

import click

from skyhooks.cli.daemon import Running, configuration, pid_file_of
from skyhooks.pidfile import PidFile


@click.command()
@configuration
@click.option("--grace", type=click.FloatRange(min=0), default=30.0, show_default=True, help="Seconds it may take.")
def stop(conf: Path, pid_file: Path | None, grace: float) -> None:
    """Stop what `skyhooks start` has started, and wait until it has ended.

    Example: skyhooks stop deploy/conf/numbers.conf.py
    """
    end(conf, pid_file_of(conf, pid_file), grace)


def end(conf: Path, pids: PidFile, grace: float) -> None:
    """Stop it. Raises `click.ClickException` when nothing runs, or when it does not end in time."""
    process = Running(conf, pids)
    process.send(signal.SIGTERM)
    if not process.ended(grace):
        raise click.ClickException(
            f"{conf.name} still runs after {grace:g} seconds; wait, or end it by force: kill -9 {process.pid}"
        )
    click.echo(f"{conf.name} has stopped.")
