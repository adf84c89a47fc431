"""The command line of the number server. Its program patches with gevent before it imports this."""

import os
import signal

import click
import gevent

from skyhooks.cli.logs import configure_logging
from skyhooks.errors import SkyhooksError
from workers.numbers.server import NumberServer
from workers.numbers.settings import NumberSettings


@click.command(epilog="Every other setting: -X name=value; docs/settings.md. A rate that changes live: skyhooks run.")
@click.option("--listen", metavar="HOST:PORT", help="Where to listen; 0 takes a free port.  [default: 127.0.0.1:7000]")
@click.option("--rate-per-minute", metavar="RATE", help="Numbers in a minute.  [default: 60]")
@click.option("-X", "overrides", multiple=True, metavar="NAME=VALUE", help="Any other setting.")
def main(listen: str | None, rate_per_minute: str | None, overrides: tuple[str, ...]) -> None:
    """Serve numbers that count up over TCP, the feed of the channel `numbers`.

    Example: skyhooks numbers --listen 127.0.0.1:7000 --rate-per-minute 600
    """
    configure_logging()
    given = dict(pair.partition("=")[::2] for pair in overrides)
    options = {"numbers_listen": listen, "rate_per_minute": rate_per_minute}
    given |= {name: value for name, value in options.items() if value is not None}
    try:
        server = NumberServer(NumberSettings.load(os.environ, given))
        for number in (signal.SIGINT, signal.SIGTERM):
            gevent.signal_handler(number, server.end)
        with server:
            server.wait()
    except SkyhooksError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot serve numbers: {error}") from error
