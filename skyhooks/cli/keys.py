"""``skyhooks keys``: a pair of CURVE keys for a node, a worker or a forwarder."""

from pathlib import Path

import click

from skyhooks.keys import make_keys, write_keys


@click.command()
@click.option(
    "--folder", metavar="F", type=Path, default=Path("keys"), show_default=True, help="Where the two files are written."
)
@click.argument("name")
def keys(folder: Path, name: str) -> None:
    """Make the pair of keys NAME.pub and NAME.key, with which NAME takes part in a mesh between machines.

    Example: skyhooks keys --folder /etc/skyhooks/keys node-1
    """
    pair = make_keys()
    public, secret = write_keys(folder, name, pair)
    click.echo(pair.public)
    click.echo(f"Wrote {public} and {secret}.", err=True)
    click.echo(
        f"Next: keep {secret.name} on its machine, copy {public.name} to the allowed keys of all others.", err=True
    )
