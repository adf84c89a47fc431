"""``skyhooks tail``: follow a channel in the terminal."""

import click

from skyhooks.cli import options
from skyhooks.client import Gap


@click.command()
@click.argument("channel")
@click.option("--since", metavar="POSITION", help="Go on after this position; 0 is the start. Without it: from now on.")
@click.option("--raw", is_flag=True, help="Only the data, without positions.")
@options.urls
def tail(channel: str, since: str | None, raw: bool, urls: tuple[str, ...]) -> None:
    """Follow CHANNEL, one publication a line, until Ctrl-C. A lost connection is resumed where it broke.

    Example: skyhooks tail accounts/demo --since 0
    """
    position = since
    try:
        for item in options.connect(urls).tail(channel, since, lost=_say_lost):
            if isinstance(item, Gap):
                position = item.end
                click.echo(f"gap: what came after {item.start} up to {item.end} is no longer kept", err=True)
                continue
            position = item.position
            click.echo(item.text if raw else b'{"position":"%b","data":%b}' % (position.encode(), item.text))
    except KeyboardInterrupt:
        if position is not None:
            click.echo(f"\nNext: skyhooks tail {channel} --since {position} goes on from here.", err=True)


def _say_lost(why: str) -> None:
    click.echo(f"connection lost ({why}); going on where it broke", err=True)
