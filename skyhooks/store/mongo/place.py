"""Where a MongoDB store is: its URL, taken apart, checked and shown without its password.

https://www.mongodb.com/docs/manual/reference/connection-string/
"""

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from skyhooks.errors import StoreUnusable

DATABASE: Final = "skyhooks"
"""The database when the URL names none."""

SCHEMES: Final = ("mongodb", "mongodb+srv")

DEFAULTS: Final[dict[str, Any]] = {
    "appname": "skyhooks",
    "serverSelectionTimeoutMS": 5_000,
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": 10_000,
}
"""Options that the URL may give otherwise. Without a bound a server that hangs would hold a call for ever."""

_NAME: Final = re.compile(r"[^/\\. \"$*<>:|?\0]{1,63}\Z")
_SECRET: Final = re.compile(r"((?i:password|authMechanismProperties)=)[^&;]*")
_FORM: Final = "mongodb://user:password@host:27017,host2:27017/database?options"


@dataclass(frozen=True, slots=True)
class Place:
    """A store's place: `url` as given, `shown` without the password, `hosts` and `database` as errors name them."""

    url: str
    shown: str
    hosts: str
    database: str

    def __str__(self) -> str:
        return f"MongoDB at {self.hosts}/{self.database}"

    def options(self) -> dict[str, Any]:
        """What a client is made with besides the URL, whose options come first."""
        query = self.url.partition("?")[2].replace(";", "&")
        given = {name.lower() for name, _ in parse_qsl(query, keep_blank_values=True)}
        if "timeoutms" in given:
            # The one bound for everything, beside which pymongo ignores the others.
            return {"appname": DEFAULTS["appname"]} if "appname" not in given else {}
        return {name: value for name, value in DEFAULTS.items() if name.lower() not in given}


def place_of(url: str) -> Place:
    """Read a URL. Raises `StoreUnusable`; the message repeats nothing of what could be a password."""
    scheme, separator, rest = url.partition("://")
    if scheme not in SCHEMES or not separator:
        raise StoreUnusable(f"a MongoDB store is {_FORM}")
    before, question, query = rest.partition("?")
    credentials, at, address = before.rpartition("@")
    hosts, _, path = address.partition("/")
    database = unquote(path) or DATABASE
    if not hosts or not _NAME.match(database) or not _is_valid(url, scheme):
        raise StoreUnusable(
            f"a MongoDB store is {_FORM}, with : / ? # [ ] @ % in the user name and the password written as %3A and so "
            "on, and only options that MongoDB knows"
        )
    user = credentials.partition(":")[0]
    hidden = f"{user}:**@" if ":" in credentials else f"{user}{at}"
    options = _SECRET.sub(r"\1**", query)
    return Place(url, f"{scheme}://{hidden}{hosts}/{database}{question}{options}", hosts, database)


def _is_valid(url: str, scheme: str) -> bool:
    if scheme == "mongodb+srv":
        # Checking it would ask the DNS; the first call does.
        return True
    try:
        parse_uri(url, validate=True, warn=False)
    except FileNotFoundError as error:
        raise StoreUnusable(f"the URL of the store names a file that is not there: {error.filename}") from None
    except (PyMongoError, ValueError, OSError):
        return False
    return True
