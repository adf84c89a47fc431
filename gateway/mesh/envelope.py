"""What nodes say to each other when one asks and one answers. Pure.

A message has two parts: the marker `MARK`, which carries the version, and the envelope in MessagePack. A question
tells how many seconds are left to answer it: the clocks of two machines need not agree, their seconds do. An answer
without a `code` is good. What has another marker, or is not in this form, is garbage: it is counted and dropped, since
nobody knows what it asked.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeVar

import msgspec

T = TypeVar("T")

MARK: Final = b"skyhooks-rpc/1"
MAX_NAME: Final = 64
MAX_CODE: Final = 64
MAX_DETAIL: Final = 1000

_packer = msgspec.msgpack.Encoder()


class Garbage(Exception):
    """What came is no envelope of this version."""


class Question(msgspec.Struct, frozen=True, array_like=True, tag="?"):
    """A call: its number on the asking side, what is asked for, and for how long somebody waits, in seconds."""

    number: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    name: Annotated[str, msgspec.Meta(max_length=MAX_NAME)]
    seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)]
    payload: msgspec.Raw


class Reply(msgspec.Struct, frozen=True, array_like=True, tag="!"):
    """The answer to the question of this number: a payload, or a code for programs and a sentence for people."""

    number: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    payload: msgspec.Raw
    code: Annotated[str, msgspec.Meta(max_length=MAX_CODE)] = ""
    detail: Annotated[str, msgspec.Meta(max_length=MAX_DETAIL)] = ""


Envelope = Question | Reply
_decoder: msgspec.msgpack.Decoder[Envelope] = msgspec.msgpack.Decoder(Envelope)

NOTHING: Final = msgspec.Raw(_packer.encode(None))
"""The payload of an answer that has none."""


def pack(payload: object) -> msgspec.Raw:
    """A payload as it travels. Raises `TypeError` for what MessagePack cannot carry."""
    return msgspec.Raw(_packer.encode(payload))


def unpack(payload: msgspec.Raw, kind: "type[T] | Any" = Any) -> T:
    """A payload that came, as a `kind`. Raises `Garbage`."""
    try:
        value: T = msgspec.msgpack.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbage(str(error)) from error
    return value


def seal(envelope: Envelope) -> list[bytes]:
    """The parts of a message."""
    return [MARK, _packer.encode(envelope)]


def read_envelope(parts: Sequence[bytes]) -> Envelope:
    """The envelope in the parts of a message. Raises `Garbage`."""
    if len(parts) != 2 or parts[0] != MARK:
        raise Garbage("not a message of this version")
    try:
        return _decoder.decode(parts[1])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Garbage(str(error)) from error


def failure(number: int, code: str, detail: str) -> Reply:
    """The answer that something went wrong."""
    return Reply(number, NOTHING, code[:MAX_CODE] or "failed", detail[:MAX_DETAIL])
