"""Channel and account names, and the namespaces that give channels their options.

A channel is a slash-separated name such as ``accounts/acme``. Its first segment is its namespace. The rules for
names keep them safe in a URL path, a log line and a ZeroMQ topic (which ends with a NUL).
"""

import re
from typing import Final

import msgspec

from skyhooks.errors import Refused, shown

ACCOUNTS: Final = "accounts"
TASKS: Final = "tasks"

MAX_ACCOUNT: Final = 128
MAX_CHANNEL: Final = 255
EXACT: Final = 2**53

_SEGMENT = r"[A-Za-z0-9._:@-]+"
ACCOUNT_PATTERN: Final = r"[A-Za-z0-9._:@-]{1,128}"
CHANNEL_PATTERN: Final = rf"{_SEGMENT}(?:/{_SEGMENT})*"
"""What an account and a channel are spelled with; no segment is ``.`` or ``..``."""

_ACCOUNT = re.compile(rf"{ACCOUNT_PATTERN}\Z")
_CHANNEL = re.compile(rf"{CHANNEL_PATTERN}\Z")


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a channel's history keeps its data.

    `count` publications, `size` bytes of data and `age` seconds are kept, whichever is reached first. `dedupe`
    seconds after its appending an id is still remembered, with or without data, so that a late copy is recognised.
    """

    count: int = 10_000
    size: int = 64 * 1024 * 1024
    age: float = 7 * 86_400.0
    dedupe: float = 86_400.0


class Namespace(msgspec.Struct, frozen=True, kw_only=True):
    """Options of all channels whose first segment is `name`."""

    name: str
    durable: bool = False
    retention: Retention = Retention()


TASK_RETENTION: Final = Retention(age=86_400.0)

DEFAULT_NAMESPACES: Final = (
    Namespace(name=ACCOUNTS, durable=True),
    Namespace(name=TASKS, durable=True, retention=TASK_RETENTION),
)


def account_name(value: object) -> str:
    """The canonical name of an account: ``7`` and ``"7"`` are one account.

    Raises `Refused` (``bad_account``) unless it is a string or integer of 1 to 128 letters, digits and ``. _ - : @``.
    """
    name = spelled(value)
    if not isinstance(name, str) or not _ACCOUNT.match(name) or name in (".", ".."):
        raise Refused(
            "bad_account",
            f"an account is 1 to {MAX_ACCOUNT} letters, digits and . _ - : @ (or an integer); got {shown(value)}",
        )
    return name


def spelled(value: object) -> object:
    """An integer in decimal digits, anything else as it is.

    ``7.0`` is the integer 7, as JSON Schema has it (section 6.1.1 of its core), up to where a double is exact.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT:
        return str(int(value))
    # Python does not write integers of thousands of digits; 512 bits are more digits than an account may have.
    whole = isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 512
    return str(value) if whole else value


def channel_name(name: str) -> str:
    """`name` itself, when it is a channel's name.

    Raises `Refused` (``bad_channel``) unless it is 1 to 255 characters of segments joined by ``/``.
    """
    if len(name) > MAX_CHANNEL or not _CHANNEL.match(name) or any(s in (".", "..") for s in name.split("/")):
        raise Refused(
            "bad_channel",
            f"a channel is up to {MAX_CHANNEL} letters, digits and . _ - : @, joined by /; got {shown(name)}",
        )
    return name


def namespace_of(channel: str) -> str:
    """The first segment of a channel's name."""
    return channel.partition("/")[0]


def account_channel(account: str) -> str:
    """The channel of everything that happens for an account."""
    return f"{ACCOUNTS}/{account}"


def task_channel(task_id: object) -> str:
    """The channel of one task.

    Raises `Refused` (``bad_task_id``) for an id that cannot be part of a channel's name.
    """
    name = spelled(task_id)
    if not isinstance(name, str) or not _ACCOUNT.match(name) or name in (".", ".."):
        raise Refused("bad_task_id", f"a task id is 1 to 128 letters, digits and . _ - : @; got {shown(task_id)}")
    return f"{TASKS}/{name}"
