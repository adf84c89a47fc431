"""``skyhooks reload``: have what runs read its configuration file again."""

import signal
from pathlib import Path
from typing import Final

import click

from skyhooks.cli.daemon import Running, configuration, pid_file_of, wait_for

ANSWER_SECONDS: Final = 30.0


@click.command()
@configuration
def reload(conf: Path, pid_file: Path | None) -> None:
    """Take changed settings over without a restart; no connection is dropped.

    When the file cannot be used, the old settings stay in force, and this says why and exits with 1.

    Example: skyhooks reload deploy/conf/numbers.conf.py
    """
    pids = pid_file_of(conf, pid_file)
    process = Running(conf, pids)

    def ready() -> bool:
        record = pids.record()
        return record is not None and record.ready

    wait_for(lambda: ready() or process.ended(), ANSWER_SECONDS)
    if not ready() or (before := pids.record()) is None:
        raise click.ClickException(f"process {process.pid} is not ready yet; `skyhooks status` tells how far it is")
    process.send(signal.SIGHUP)

    def answered() -> bool:
        now = pids.record()
        return now is None or now.reloads > before.reloads

    if not wait_for(answered, ANSWER_SECONDS) or (after := pids.record()) is None:
        raise click.ClickException(f"process {process.pid} has not answered within {ANSWER_SECONDS:g} seconds")
    if after.refused:
        raise click.ClickException(f"refused, and the old settings stay in force: {after.outcome}")
    click.echo(f"{conf.name}: {after.outcome}.")
