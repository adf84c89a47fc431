"""What one node tells the others about one channel, and how it is written. Pure.

A frame is one message of one part: the topic, which is the channel and a NUL, and behind it a msgpack array. The NUL is
there because ZeroMQ matches topics by prefix: who wants ``accounts/1`` would get ``accounts/12`` too. The array begins
with the version and the sender, in this and in every later version, so that who speaks another one can be named.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from skyhooks.channel import MAX_CHANNEL, channel_name
from skyhooks.errors import Refused
from skyhooks.publication import MAX_WORD, Publication

VERSION: Final = 1
END: Final = b"\0"
MAX_NODE: Final = 128
MAX_OFFSET: Final = 10**15 - 1
"""The largest offset that a position can spell."""

_Node = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NODE)]
_Offset = Annotated[int, msgspec.Meta(ge=1, le=MAX_OFFSET)]
_Item = tuple[Annotated[str, msgspec.Meta(max_length=MAX_WORD)], _Offset, bytes, bool]


class Frame(msgspec.Struct, frozen=True):
    """What `node` says about `channel`.

    `publications` have contiguous offsets. With an `epoch` these are offsets of the log; without one the channel is
    ephemeral and they are the sender's own. `head` announces that the log reaches further than the publications (all
    of them, when there are none); 0 says nothing.
    """

    channel: str
    epoch: str
    publications: tuple[Publication, ...]
    head: int
    node: str


class _Start(msgspec.Struct, array_like=True):
    """What every version begins with."""

    version: int
    node: _Node


class _Body(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    version: int
    node: _Node
    epoch: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9.]{0,64}\Z")]
    head: Annotated[int, msgspec.Meta(ge=0, le=MAX_OFFSET)]
    publications: list[_Item]


_encoder: Final = msgspec.msgpack.Encoder()
_start_decoder: Final = msgspec.msgpack.Decoder(_Start)
_body_decoder: Final = msgspec.msgpack.Decoder(_Body)


class BadFrame(Refused):
    """A frame that means nothing here. `node` is who says that it sent it, empty when not even that can be read."""

    def __init__(self, detail: str, node: str = "") -> None:
        super().__init__("bad_frame", detail)
        self.node = node


def topic_of(channel: str) -> bytes:
    """The topic of a channel."""
    return channel.encode() + END


def channel_of(topic: bytes) -> str | None:
    """The channel of a topic; None for what is no channel's topic."""
    try:
        return channel_name(topic[:-1].decode("ascii")) if topic.endswith(END) else None
    except (Refused, UnicodeDecodeError):
        return None


def split(message: bytes) -> tuple[bytes, bytes]:
    """The topic and the body of a message; an empty topic when it has none of a channel's length."""
    end = message.find(END, 0, MAX_CHANNEL + 1) + 1
    return message[:end], message[end:]


def encode(frame: Frame) -> bytes:
    """The message that carries a frame."""
    items = [(one.id, one.offset, one.data, one.control) for one in frame.publications]
    return topic_of(frame.channel) + _encoder.encode((VERSION, frame.node, frame.epoch, frame.head, items))


def decode(channel: str, body: bytes) -> Frame:
    """Read the body of a message about `channel`. Raises `BadFrame`."""
    try:
        wire = _body_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _explained(body, str(error)) from None
    if wire.version != VERSION:
        raise _explained(body, "")
    publications = tuple([Publication(*item) for item in wire.publications])
    if fault := _fault(publications, wire.head):
        raise BadFrame(fault, wire.node)
    return Frame(channel, wire.epoch, publications, wire.head, wire.node)


def _fault(publications: Sequence[Publication], head: int) -> str:
    expected = publications[0].offset if publications else 0
    for one in publications:
        if one.offset != expected:
            return f"expected offset {expected} next, got {one.offset}"
        if b"\n" in one.data or b"\r" in one.data:
            return f"expected data on one line at offset {expected}"
        expected += 1
    if head and head < expected:
        return f"expected a head beyond offset {expected - 1}, got {head}"
    return "" if publications or head else "expected publications or a head, got neither"


def _explained(body: bytes, problem: str) -> BadFrame:
    """Another version, garbage, or this version with something wrong in it."""
    try:
        start = _start_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return BadFrame(f"expected a frame of version {VERSION}, got {len(body)} bytes that are none")
    if start.version != VERSION:
        return BadFrame(f"expected version {VERSION}, got version {start.version}", start.node)
    return BadFrame(problem, start.node)
