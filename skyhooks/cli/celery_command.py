# mypy: disable-error-code="untyped-decorator"
"""``celery -A proj skyhooks``: the checkup and the figures of an app's system, as a command of Celery itself.

Celery loads this whenever it is started (entry point group ``celery.commands``), also to start a worker. So what a
subcommand needs is imported when it runs, and a worker can be asked where it takes its results (`skyhooks_place`).
"""

import os
from typing import Any

import click
from celery.worker.control import inspect_command


@inspect_command()
def skyhooks_place(state: Any, **_: Any) -> dict[str, str]:
    """Where this worker takes its results."""
    # Celery's own `conf` would do, but it fails on a broker URL whose scheme kombu does not know.
    backend = state.app.backend
    return {"backend": str(backend.as_uri()), "spool": str(getattr(backend, "spool_folder", ""))}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def skyhooks(**_: Any) -> None:
    """Where the results of this app go: see what is there, and find what is wrong.

    Example: celery -A myproject skyhooks doctor
    """


@skyhooks.command()
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=1.0, show_default=True, help="For workers.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.pass_context
def status(ctx: click.Context, timeout: float, as_json: bool) -> None:
    """Show the live nodes, the store, the spool, the broker's queues and the workers.

    Exit code 1 when the store or the broker cannot be asked.

    Example: celery -A myproject skyhooks status
    """
    import msgspec

    from skyhooks.checkup import Subject
    from skyhooks.checkup.overview import lines, overview

    app = ctx.obj.app
    view = overview(app, Subject(os.environ, app), timeout)
    for line in [msgspec.json.encode(view).decode()] if as_json else lines(view):
        click.echo(line)
    if not view.works:
        raise click.ClickException("not everything could be asked; celery -A … skyhooks doctor says what to change")


@skyhooks.command()
@click.option("--url", "urls", multiple=True, metavar="URL", help="A gateway that should be on the app's store.")
@click.pass_context
def doctor(ctx: click.Context, urls: tuple[str, ...]) -> None:
    """Check everything that has to be right, as `skyhooks doctor -A` does.

    Exit code 1 when a check failed; warnings do not count.

    Example: celery -A myproject skyhooks doctor
    """
    from skyhooks.checkup import Subject, examine
    from skyhooks.cli.doctor import report

    given = urls or tuple(os.environ.get("SKYHOOKS_URL", "").split())
    report(examine(Subject(os.environ, ctx.obj.app, urls=given)), color=False if ctx.obj.no_color else None)
