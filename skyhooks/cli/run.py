"""``skyhooks run``: what a configuration file makes, in this process."""

import os
import sys
from pathlib import Path
from typing import Final

import click

from skyhooks.cli.daemon import pid_file_of, running
from skyhooks.cli.logs import configure_logging
from skyhooks.configfile import engine_of
from skyhooks.errors import SettingsError

PATCHED: Final = (
    "from gevent import monkey; monkey.patch_all(); from skyhooks.cli import main; main(prog_name='skyhooks')"
)
"""A program like this one, where gevent has patched everything before it is imported."""


@click.command()
@running
def run(conf: Path, pid_file: Path | None, log_file: Path | None, overrides: tuple[str, ...]) -> None:
    """Run a configuration file here, until Ctrl-C. SIGHUP has it read the file again.

    Example: skyhooks run deploy/conf/gateway.conf.py -X listen=127.0.0.1:9000
    """
    if engine_of(conf) == "gevent" and "gevent.monkey" not in sys.modules:
        command = (sys.executable, "-P", "-c", PATCHED, *sys.argv[1:])
        os.execv(command[0], command)  # noqa: S606  # our own program, no shell
    # Not before gevent has patched what it imports.
    from skyhooks.runner import Runner

    log = log_file.absolute() if log_file else None
    if log is not None:
        reopen(log)
    configure_logging()
    sys.path.insert(0, str(conf.parent))
    given = dict(pair.partition("=")[::2] for pair in overrides)
    pids = pid_file_of(conf, pid_file)
    try:
        Runner(conf, os.environ, given, pids, lambda: reopen(log) if log else None, str(log or "")).run()
    except OSError as error:
        raise click.ClickException(f"{conf.name} has ended: {error}") from error


def reopen(path: Path) -> None:
    """Write to the log file from now on; again after it was moved away. Raises `SettingsError`."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise SettingsError(f"the log file {path} cannot be written: {error.strerror}") from error
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
