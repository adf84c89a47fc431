"""Options and arguments that several commands share."""

import os
from typing import Any

import click
import msgspec

from skyhooks.client import DEFAULT_URL, Client
from skyhooks.store import default_url

SECRET = "SKYHOOKS_SECRET"  # noqa: S105  # the name of a variable
AUTHORITIES = "SKYHOOKS_CA"
"""The variable with the PEM file of the authorities that gateways' certificates are checked against."""

urls = click.option(
    "--url",
    "urls",
    multiple=True,
    envvar="SKYHOOKS_URL",
    metavar="URL",
    help=f"A gateway; give several and the next one is used when one is gone.  [$SKYHOOKS_URL; default: {DEFAULT_URL}]",
)

store = click.option(
    "--store",
    "store_url",
    envvar="SKYHOOKS_STORE",
    metavar="URL",
    default=lambda: default_url(os.environ),
    help="sqlite:///absolute/path.db  [$SKYHOOKS_STORE; default: a file in the XDG state folder]",
)

secret = click.option(
    "--secret",
    envvar=SECRET,
    metavar="SECRET",
    default="",
    help="What to sign with: accounts/… and tasks/… want that.  [$SKYHOOKS_SECRET]",
)


def json_value(ctx: click.Context, param: click.Parameter, value: str) -> Any:
    """Callback of an argument in JSON: a text that is none is refused with an example of how to quote one."""
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise click.BadParameter(
            f"expected JSON, such as '{{\"n\": 1}}' or '\"text\"'; got {value[:60]!r} ({error})", ctx, param
        ) from error


def connect(urls: tuple[str, ...], secret: str = "") -> Client:
    """A client of the gateways given, or of the default one. Raises `SettingsError`."""
    return Client(*urls, secret=secret, ca=os.environ.get(AUTHORITIES, ""))
