"""``skyhooks status``: whether a configuration runs, and its services."""

import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import click

from skyhooks.cli.daemon import NOT_RUNNING, configuration, pid_file_of
from skyhooks.tree import Outline


@click.command()
@configuration
def status(conf: Path, pid_file: Path | None) -> None:
    """Say whether it runs, since when, and what each of its services does; exit code 3 when it does not run.

    Example: skyhooks status deploy/conf/numbers.conf.py
    """
    pids = pid_file_of(conf, pid_file)
    pid, record = pids.holder(), pids.record()
    if not pid:
        click.echo(f"{conf.name} does not run.")
        sys.exit(NOT_RUNNING)
    if record is None:
        # It holds its pid file, and has not made its services yet.
        click.echo(f"{conf.name} runs as process {pid} and is starting.")
        return
    uptime = timedelta(seconds=round(max(0.0, time.time() - record.since)))
    click.echo(f"{conf.name} runs as process {pid} for {uptime}.")
    if record.outcome:
        click.echo(f"Last reload: {'refused: ' if record.refused else ''}{record.outcome}")
    for line in drawn(record.services):
        click.echo(line)


def drawn(outline: Outline, depth: int = 0) -> Iterator[str]:
    """A service and what is below it, a line each."""
    name = f"{'  ' * depth}{outline.name}"
    said = ", ".join(filter(None, (outline.state, outline.detail)))
    yield f"{name:24} {said}{f': {outline.error}' if outline.error else ''}"
    for child in outline.children:
        yield from drawn(child, depth + 1)
