"""``python -P -m gateway``: one node in this process, until SIGINT or SIGTERM."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import click

from gateway.node import Node
from gateway.runtime import with_defaults
from gateway.settings import NodeSettings
from skyhooks.cli.logs import configure_logging
from skyhooks.errors import SkyhooksError


async def serve(settings: NodeSettings) -> None:
    """Run one node until a signal asks it to stop."""
    loop = asyncio.get_running_loop()
    async with Node(settings) as node:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, node.end)
        await node.wait()


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run on uvloop where it is installed, on asyncio's own loop elsewhere."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main())
    else:
        uvloop.run(main())


@click.command(context_settings={"show_default": True}, epilog="Every other setting: -X name=value; docs/settings.md.")
@click.option(
    "--listen", metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.  [default: 127.0.0.1:8080]"
)
@click.option(
    "--store",
    metavar="URL",
    help="memory://, sqlite:///absolute/path.db or mongodb://…  [default: $SKYHOOKS_STORE or a state file]",
)
@click.option("--broker", metavar="URL", help="Celery's broker, to submit tasks over HTTP.")
@click.option("--open", "is_open", is_flag=True, default=None, help="Accept unsigned webhooks; loopback only.")
@click.option("--echo", metavar="PATH", help="Mount a WebSocket that echoes, for conformance suites.")
@click.option("--node-id", metavar="NAME", help="This node's name in the registry.")
@click.option("-X", "overrides", multiple=True, metavar="NAME=VALUE", help="Any other setting.")
def main(
    listen: str | None,
    store: str | None,
    broker: str | None,
    is_open: bool | None,
    echo: str | None,
    node_id: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Run one gateway node.

    Example: skyhooks gateway --listen 127.0.0.1:9100 --store memory:// --open
    """
    configure_logging()
    given = dict(pair.partition("=")[::2] for pair in overrides)
    options = {"listen": listen, "store": store, "broker": broker, "echo": echo, "node_id": node_id}
    given |= {name: value for name, value in options.items() if value is not None}
    if is_open:
        given["open"] = "yes"
    try:
        settings = with_defaults(NodeSettings.load(os.environ, given), os.environ)
        run(lambda: serve(settings))
    except SkyhooksError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {given.get('listen', NodeSettings.listen.default)}: {error}"
        ) from error


if __name__ == "__main__":
    main()
