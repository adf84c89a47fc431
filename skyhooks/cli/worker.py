"""``skyhooks worker``: becomes ``python -P -m celery … worker`` on the gevent pool.

A fresh process, because gevent has to patch before anything networked is imported.
"""

import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from skyhooks.cli.options import SECRET
from skyhooks.cli.state import State, default_folder

APP: Final = "workers.app"
POOL: Final = "gevent"


@click.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.option("-A", "--app", metavar="MODULE", help="Your Celery app; without it: the demo tasks.")
@click.option("-P", "--pool", default=POOL, show_default=True, help="Celery's pool: gevent, prefork, threads, solo.")
@click.argument("arguments", metavar="[CELERY'S OPTIONS]...", nargs=-1, type=click.UNPROCESSED)
def worker(app: str | None, pool: str, arguments: tuple[str, ...]) -> None:
    """Run a Celery worker; every other option is that of `celery worker`.

    SKYHOOKS_SECRET defaults to the secret of `skyhooks up` on this machine.

    Example: skyhooks worker -A myproject.celery --concurrency 50
    """
    folder = State(default_folder(os.environ))
    environ = dict(os.environ)
    if SECRET not in environ and folder.secret_file.is_file():
        environ[SECRET] = folder.secret()
        click.echo(f"signing with the secret in {folder.secret_file}", err=True)
    if app is None:
        folder.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Celery imports from the current folder first, and somebody's own workers/ must not be taken for ours.
        os.chdir(folder.folder)
    command = celery_command(app or APP, pool, arguments)
    os.execve(command[0], command, environ)  # noqa: S606  # our own program, no shell


def celery_command(app: str, pool: str, arguments: Sequence[str], quiet: bool = False) -> tuple[str, ...]:
    """The command of a worker of `app`; `quiet` leaves Celery's banner out."""
    before = ("-A", app, *(["--quiet"] if quiet else []))
    return (sys.executable, "-P", "-m", "celery", *before, "worker", "-P", pool, *arguments)
