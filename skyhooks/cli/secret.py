"""``skyhooks secret``: a new secret for signing webhooks."""

import os

import click

from skyhooks.signature import make_secret


@click.command()
def secret() -> None:
    """Make a secret that signs webhooks.

    Example: export SKYHOOKS_SECRET=$(skyhooks secret)
    """
    click.echo(make_secret(os.urandom(32)))
    click.echo("Next: set it as SKYHOOKS_SECRET for every gateway and every worker, the same for all.", err=True)
