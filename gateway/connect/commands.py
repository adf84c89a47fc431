"""The messages of the client protocol: commands in, answers out. Pure.

A command is one JSON object with a `type` and an `id` of the client's choice. Each is answered once, by a message
with the same id and either ``ok`` or ``error``. What comes from a channel has ``channel`` instead of an id; see
`gateway.hub.encoding.Named`.
"""

from typing import Annotated, Any, Final

import msgspec

from gateway.edge.messages import encode_message
from skyhooks.errors import Refused
from skyhooks.problem import problem_of

MOST_ID: Final = 2**53 - 1
"""The greatest integer that every JavaScript client reads as it was written (ECMAScript, Number.MAX_SAFE_INTEGER)."""

MOST_DETAIL: Final = 300
"""Characters of what a client is told of a message; the decoder quotes what it could not read, however long."""

Id = Annotated[int, msgspec.Meta(ge=0, le=MOST_ID)] | Annotated[str, msgspec.Meta(max_length=64)]


class _Command(msgspec.Struct, tag_field="type", tag=str.lower, forbid_unknown_fields=True, kw_only=True):
    id: Id


class Subscribe(_Command):
    """Follow a channel, from a position or from now on."""

    channel: str
    since: str = ""


class Unsubscribe(_Command):
    """Follow a channel no longer."""

    channel: str


class Publish(_Command):
    """Publish to a channel. `key` is the publication's id: with the same one it is stored once."""

    channel: str
    data: msgspec.Raw
    key: str = ""


class Presence(_Command):
    """Ask how many subscribers a channel has, on all nodes."""

    channel: str


class Ping(_Command):
    """Ask for an answer: browsers do not tell a page of WebSocket's own pings."""


Command = Subscribe | Unsubscribe | Publish | Presence | Ping


class _Identified(msgspec.Struct):
    id: Id | None = None


_COMMANDS: Final[msgspec.json.Decoder[Command]] = msgspec.json.Decoder(Command)
_IDENTIFIED: Final = msgspec.json.Decoder(_Identified)


def read_command(message: str) -> Command:
    """Read one message of a client. Raises `Refused` (``bad_command``, ``bad_json``)."""
    try:
        return _COMMANDS.decode(message)
    except msgspec.ValidationError as error:
        known = "subscribe, unsubscribe, publish, presence, ping"
        detail = f'a command is {{"type": …, "id": …}} with one of {known} and what belongs to it: {error}'
        raise Refused("bad_command", detail[:MOST_DETAIL]) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused("bad_json", f"the message is not JSON: {error}"[:MOST_DETAIL]) from error


def id_of(message: str) -> int | str | None:
    """The id of a message that is no command, where it has one, so that the client can tell which one was refused."""
    try:
        return _IDENTIFIED.decode(message).id
    except (msgspec.DecodeError, RecursionError):
        return None


def answer(command_id: int | str, result: Any) -> bytes:
    """The frame that answers a command which was carried out."""
    return encode_message(msgspec.json.encode({"id": command_id, "ok": result}).decode())


def refusal(command_id: int | str | None, error: Refused) -> bytes:
    """The frame that answers a command which was refused; it changed nothing."""
    return encode_message(msgspec.json.encode({"id": command_id, "error": problem_of(error)}).decode())
