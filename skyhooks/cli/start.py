"""``skyhooks start``: what a configuration file makes, in the background."""

import subprocess
from pathlib import Path
from typing import Final

import click

from skyhooks.cli.daemon import command_of, last_lines, log_file_of, pid_file_of, running, wait_for
from skyhooks.pidfile import PidFile

READY_SECONDS: Final = 60.0


@click.command()
@running
def start(conf: Path, pid_file: Path | None, log_file: Path | None, overrides: tuple[str, ...]) -> None:
    """Start a configuration file in the background, and wait until it is ready.

    Example: skyhooks start deploy/conf/numbers.conf.py
    """
    begin(conf, pid_file_of(conf, pid_file), log_file_of(conf, log_file), overrides)


def begin(conf: Path, pids: PidFile, log: Path, overrides: tuple[str, ...]) -> None:
    """Start it. Raises `click.ClickException` when it runs already, or with the end of its log when it cannot."""
    if pid := pids.holder():
        raise click.ClickException(f"{conf.name} runs already, as process {pid}; `skyhooks restart` replaces it")
    before = log.stat().st_size if log.exists() else 0
    process = subprocess.Popen(  # noqa: S603  # our own program, no shell
        command_of(conf, pids, log, overrides),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )

    def settled() -> bool:
        record = pids.record()
        return process.poll() is not None or (record is not None and record.pid == process.pid and record.ready)

    in_time = wait_for(settled, READY_SECONDS)
    if process.poll() is not None:
        assert process.stderr is not None  # noqa: S101  # PIPE was asked for
        said = "\n".join(filter(None, (process.stderr.read().decode().rstrip(), last_lines(log, before))))
        raise click.ClickException(f"{conf.name} has ended with exit code {process.returncode}:\n{said}")
    if not in_time:
        raise click.ClickException(
            f"{conf.name} is not ready after {READY_SECONDS:g} seconds; process {process.pid} still tries, and "
            f"`skyhooks status` tells how far it is. The end of its log ({log}):\n{last_lines(log, before)}"
        )
    click.echo(f"{conf.name} runs as process {process.pid}; its log: {log}")
