"""``skyhooks publish``: one publication into a channel."""

from typing import Any

import click

from skyhooks.cli import options


@click.command()
@click.argument("channel")
@click.argument("data", metavar="JSON", callback=options.json_value)
@click.option("--id", "publication_id", default="", help="Its id: sent again with the same one, it is stored once.")
@options.urls
@options.secret
def publish(channel: str, data: Any, publication_id: str, urls: tuple[str, ...], secret: str) -> None:
    """Publish JSON to CHANNEL.

    Example: skyhooks publish announce '{"text": "lunch"}'
    """
    done = options.connect(urls, secret).publish(channel, data, publication_id)
    click.echo(f"{done.status} {done.channel} at position {done.position}")
    click.echo(f"Next: skyhooks tail {done.channel} --since 0", err=True)
