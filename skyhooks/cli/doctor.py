"""``skyhooks doctor``: looks at everything that has to be right and says how to mend what is not."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import click

from skyhooks.checkup import Finding, Subject, examine
from skyhooks.checkup.application import APP_NOT_LOADED, load
from skyhooks.cli import options
from skyhooks.cli.state import State, default_folder

COLOURS: Final = {"ok": "green", "warn": "yellow", "fail": "red"}

urls = click.option(
    "--url",
    "urls",
    multiple=True,
    envvar="SKYHOOKS_URL",
    metavar="URL",
    help="A gateway that should be on this store; more than one may be given.  [$SKYHOOKS_URL]",
)


@click.command(epilog="Exit code 1 when a check failed; warnings do not count. docs/doctor.md lists what it can find.")
@click.option("-A", "--app", "name", metavar="MODULE", help="Your Celery app, to look with its settings.")
@click.option("--broker", "broker_url", envvar="SKYHOOKS_BROKER", metavar="URL", help="The broker.  [$SKYHOOKS_BROKER]")
@urls
@options.store
@options.secret
def doctor(name: str | None, broker_url: str | None, urls: tuple[str, ...], store_url: str, secret: str) -> None:
    """Check Python, libraries, store, spool, broker, gateways, clocks, secret and, with -A, your Celery app.

    What the app itself says of store and secret comes first. Nothing is published.

    Example: skyhooks doctor -A myproject.celery
    """
    place = State(default_folder(os.environ))
    if not secret and place.secret_file.is_file():
        secret = place.secret_file.read_text().strip()
    environ = {**os.environ, "SKYHOOKS_STORE": store_url, options.SECRET: secret}
    if broker_url:
        environ["SKYHOOKS_BROKER"] = broker_url
    with surrounded_by(environ):
        app, problem = load(name) if name else (None, "")
    subject = Subject(environ, app, urls=urls, broker_url=broker_url or "", embedded=place.broker_url)
    findings = [APP_NOT_LOADED.found(problem)] if problem else []
    report([*findings], examine(subject))


@contextmanager
def surrounded_by(environ: Mapping[str, str]) -> Iterator[None]:
    """Have this process's environment be `environ` for a while: an app that is imported reads what it likes of it."""
    before = dict(os.environ)
    os.environ.update(environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def report(*groups: Iterable[Finding], color: bool | None = None) -> None:
    """Show findings as they come, then what they come to. Raises `click.ClickException` when one is a failure."""
    failed = warned = 0
    for group in groups:
        for finding in group:
            failed += finding.level == "fail"
            warned += finding.level == "warn"
            _show(finding, color)
    if failed:
        raise click.ClickException(f"{failed} failed; each line above says what to change")
    click.echo("Nothing is broken." if warned else "All is well.", err=True)
    click.echo("Next: skyhooks tail accounts/NAME --since 0 shows what has come for an account.", err=True)


def _show(finding: Finding, color: bool | None) -> None:
    level = click.style(f"{finding.level:4}", fg=COLOURS[finding.level])
    name = f"  [{finding.name}]" if finding.name else ""
    click.echo(f"{level}  {finding.what}{name}", color=color)
    if finding.fix:
        click.echo(f"      -> {finding.fix}", color=color)
