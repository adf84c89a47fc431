"""``skyhooks hooks``: the registry, straight in the store."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from skyhooks.cli import options
from skyhooks.registry import Registry
from skyhooks.store import open_store
from skyhooks.store.base import Hook


@click.group()
def hooks() -> None:
    """Register URLs that want to know of results: add, list, remove.

    Example: skyhooks hooks list
    """


@hooks.command("add")
@click.argument("url")
@click.option("--key", "keys", multiple=True, required=True, metavar="NAME=VALUE", help="Of what it wants to hear.")
@options.store
def add(url: str, keys: tuple[str, ...], store_url: str) -> None:
    """Register URL as an endpoint for everything with these keys.

    Example: skyhooks hooks add https://example.org/results --key account_id=acme
    """
    with _registry(store_url) as registry:
        hook = registry.register(_pairs(keys), url)
    click.echo(_row(hook))
    click.echo(f"Next: skyhooks hooks list, or skyhooks hooks remove {hook.id}", err=True)


@hooks.command("list")
@click.option("--key", "keys", multiple=True, metavar="NAME=VALUE", help="Only those that hear of this.")
@options.store
def list_(keys: tuple[str, ...], store_url: str) -> None:
    """List the hooks in force, oldest first: id, kind, keys, URL.

    Example: skyhooks hooks list --key account_id=acme
    """
    with _registry(store_url) as registry:
        found = registry.find(_pairs(keys)) if keys else registry.list()
    for hook in found:
        click.echo(_row(hook))
    if not found:
        click.echo("No hooks. Next: skyhooks hooks add URL --key account_id=NAME, or open a page", err=True)


@hooks.command("remove")
@click.argument("hook_id", metavar="ID")
@options.store
def remove(hook_id: str, store_url: str) -> None:
    """Remove the hook with this id.

    Example: skyhooks hooks remove 5f0c2d…
    """
    with _registry(store_url) as registry:
        if not registry.unregister(hook_id):
            raise click.ClickException(f"there is no hook {hook_id!r}; `skyhooks hooks list` shows their ids")
    click.echo(f"removed {hook_id}")


@contextmanager
def _registry(store_url: str) -> Iterator[Registry]:
    store = open_store(store_url)
    try:
        yield Registry(store)
    finally:
        store.close()


def _pairs(keys: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for key in keys:
        name, equals, value = key.partition("=")
        if not equals or name in pairs:
            raise click.BadParameter(f"expected NAME=VALUE, each name once; got {key!r}", param_hint="--key")
        pairs[name] = value
    return pairs


def _row(hook: Hook) -> str:
    keys = " ".join(f"{name}={value}" for name, value in sorted(hook.keys.items()))
    return f"{hook.id}  {hook.kind:8}  {keys}  {hook.url}"
