"""WebSocket input by the cases of RFC 6455: what is a message, what is answered, what ends the connection."""

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from gateway.edge.messages import PING, MessageReader, encode_message, wire_bytes

TEXT, BINARY, CONT = Opcode.TEXT, Opcode.BINARY, Opcode.CONT
LIMIT = 1000


def frame(opcode: int, data: bytes = b"", fin: bool = True) -> bytes:
    return Frame(Opcode(opcode), data, fin=fin).serialize(mask=True)


def raw(first: int, data: bytes = b"", mask: bool = True) -> bytes:
    """A frame that the package would not write."""
    key = os.urandom(4) if mask else b""
    body = bytes(byte ^ key[at % 4] for at, byte in enumerate(data)) if mask else data
    size = len(data)
    head = struct.pack("!BB", first, (128 if mask else 0) | min(size, 126))
    return head + (struct.pack("!H", size) if size >= 126 else b"") + key + body


def read(reader: MessageReader, *pieces: bytes) -> tuple[list[str | bytes], bytes]:
    messages: list[str | bytes] = []
    output = b""
    for piece in pieces:
        messages += reader.feed(piece)
        output += reader.output()
    return messages, output


def close_code(output: bytes) -> int:
    """The code of the Close frame at the end of `output`, which is all there is in it."""
    assert output[0] == 0x88
    assert output[1] == len(output) - 2
    return int(struct.unpack("!H", output[2:4])[0])


def test_whole_messages_are_given_and_the_reader_can_go() -> None:
    reader = MessageReader(LIMIT)
    messages, output = read(reader, frame(TEXT, "é".encode()) + frame(BINARY, b"\xff") + frame(TEXT))
    assert messages == ["é", b"\xff", ""]
    assert output == b""
    assert reader.idle


def test_fragments_are_joined_around_a_ping() -> None:
    reader = MessageReader(LIMIT)
    pieces = [frame(TEXT, b"a", fin=False), frame(Opcode.PING, b"now"), frame(CONT, b"b", False), frame(CONT, b"c")]
    messages, output = read(reader, *pieces)
    assert messages == ["abc"]
    assert output == Frame(Opcode.PONG, b"now").serialize(mask=False)
    assert reader.idle


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 999, 1000])
def test_a_character_may_be_cut_by_a_fragment(size: int) -> None:
    text = ("é" * 500)[: size // 2]
    data = text.encode()
    for cut in {0, 1, len(data) // 2, len(data)}:
        messages, _ = read(MessageReader(LIMIT), frame(TEXT, data[:cut], fin=False), frame(CONT, data[cut:]))
        assert messages == [text]


def test_a_reader_in_the_middle_of_something_stays() -> None:
    whole = frame(TEXT, b"abc")
    reader = MessageReader(LIMIT)
    read(reader, whole[:3])
    assert not reader.idle
    read(reader, whole[3:])
    assert reader.idle
    read(reader, frame(TEXT, b"a", fin=False))
    assert not reader.idle


PROTOCOL_ERRORS = {
    "unmasked": raw(0x81, b"a", mask=False),
    "reserved bit 1": raw(0xC1, b"a"),
    "reserved bit 2": raw(0xA1, b"a"),
    "reserved bit 3": raw(0x91, b"a"),
    **{f"reserved opcode {opcode:#x}": raw(0x80 | opcode) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "long ping": raw(0x89, b"x" * 126),
    "long close": raw(0x88, b"\x03\xe8" + b"x" * 124),
    "cut ping": raw(0x09, b"a"),
    "cut close": raw(0x08),
    "continuation of nothing": frame(CONT, b"a"),
    "new message inside another": frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"),
    "close of one byte": raw(0x88, b"\x03"),
    **{
        f"close code {code}": raw(0x88, struct.pack("!H", code))
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    },
    "close inside a message": frame(TEXT, b"a", fin=False) + frame(Opcode.CLOSE, b"\x03\xe8"),
}


@pytest.mark.parametrize("data", PROTOCOL_ERRORS.values(), ids=PROTOCOL_ERRORS.keys())
def test_a_broken_rule_ends_with_1002(data: bytes) -> None:
    reader = MessageReader(LIMIT)
    messages, output = read(reader, data)
    assert messages == []
    assert close_code(output) == 1002
    assert reader.over
    assert not reader.idle


NOT_UTF8 = {
    "lone byte": [frame(TEXT, b"a\xffb")],
    "cut character at the end": [frame(TEXT, b"\xc3")],
    "surrogate": [frame(TEXT, b"\xed\xa0\x80")],
    "overlong": [frame(TEXT, b"\xc0\xaf")],
    "beyond the last code point": [frame(TEXT, b"\xf4\x90\x80\x80")],
    "split over fragments": [frame(TEXT, b"\xc3", fin=False), frame(CONT, b"(")],
    "unfinished over fragments": [frame(TEXT, b"\xe2\x82", fin=False), frame(CONT, b"")],
    "in the first of two": [frame(TEXT, b"\xff", fin=False)],  # noticed before the message is whole
    "close reason": [raw(0x88, b"\x03\xe8\xff")],
}


@pytest.mark.parametrize("pieces", NOT_UTF8.values(), ids=NOT_UTF8.keys())
def test_text_that_is_not_utf8_ends_with_1007(pieces: list[bytes]) -> None:
    reader = MessageReader(LIMIT)
    messages, output = read(reader, *pieces)
    assert messages == []
    assert close_code(output) == 1007
    assert reader.over


@pytest.mark.parametrize(
    "pieces",
    [
        [frame(BINARY, b"x" * 1001)],
        [frame(BINARY, b"x" * 2000)],
        [frame(BINARY, b"x" * 1000, fin=False), frame(CONT, b"x")],
        [frame(TEXT, b"x" * 600, fin=False), frame(CONT, b"x" * 600, fin=False)],
        [raw(0x82, b"x" * 3000)[:8]],  # its length alone is enough
    ],
)
def test_a_message_above_the_limit_ends_with_1009(pieces: list[bytes]) -> None:
    reader = MessageReader(LIMIT)
    messages, output = read(reader, *pieces)
    assert messages == []
    assert close_code(output) == 1009
    assert reader.over


def test_a_message_of_the_limit_is_taken_and_a_ping_inside_it_too() -> None:
    pieces = [frame(BINARY, b"x" * 999, fin=False), frame(Opcode.PING, b"y" * 125), frame(CONT, b"z")]
    messages, output = read(MessageReader(LIMIT), *pieces)
    assert messages == [b"x" * 999 + b"z"]
    assert output == Frame(Opcode.PONG, b"y" * 125).serialize(mask=False)


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x0f\xa0bye", b"\x03\xe8" + b"x" * 123])
def test_a_close_is_echoed_and_nothing_behind_it_read(payload: bytes) -> None:
    reader = MessageReader(LIMIT)
    data = frame(TEXT, b"before") + frame(Opcode.CLOSE, payload) + frame(TEXT, b"behind") + frame(Opcode.PING)
    messages, output = read(reader, data)
    assert messages == ["before"]
    assert output == Frame(Opcode.CLOSE, payload).serialize(mask=False)
    assert reader.over


def test_our_close_waits_for_the_clients() -> None:
    reader = MessageReader(LIMIT)
    reader.close(1001, "going")
    assert close_code(reader.output()) == 1001
    assert not reader.over
    assert not reader.idle
    _, output = read(reader, frame(TEXT, b"late"), frame(Opcode.CLOSE, b"\x03\xe9"))
    assert output == b""
    assert reader.over


def test_a_reason_is_cut_at_a_character() -> None:
    reader = MessageReader(LIMIT)
    reader.close(1001, "é" * 100)
    output = reader.output()
    assert output[4:].decode() == "é" * 61


def test_messages_before_an_error_are_still_given() -> None:
    messages, output = read(MessageReader(LIMIT), frame(TEXT, b"fine") + raw(0x83))
    assert messages == ["fine"]
    assert close_code(output) == 1002


@pytest.mark.parametrize("message", ["", "é", b"", b"\xff" * 70_000])
def test_an_encoded_message_is_what_a_client_reads(message: str | bytes) -> None:
    size = len(message.encode() if isinstance(message, str) else message)
    data = encode_message(message)
    assert data[0] == (0x81 if isinstance(message, str) else 0x82)
    assert len(data) == size + (2 if size < 126 else 4 if size < 65536 else 10)
    assert PING == b"\x89\x00"


@given(st.binary(max_size=300) | st.sampled_from([125, 126, 65535, 65536]).map(bytes))
def test_the_wire_length_is_what_the_package_writes(data: bytes) -> None:
    assert wire_bytes(Frame(BINARY, data)) == len(frame(BINARY, data))


@given(st.lists(st.text(max_size=50) | st.binary(max_size=50), min_size=1, max_size=5), st.data())
def test_the_way_the_bytes_are_cut_makes_no_difference(sent: list[str | bytes], data: st.DataObject) -> None:
    frames = (frame(TEXT, m.encode()) if isinstance(m, str) else frame(BINARY, m) for m in sent)
    wire = b"".join(frames)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(wire)), max_size=8)))
    reader = MessageReader(LIMIT)
    pieces = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    messages: list[str | bytes] = []
    for piece in pieces:
        messages += read(reader, piece)[0]
        if reader.idle:
            reader = MessageReader(LIMIT)  # as the sink does
    assert messages == sent
    assert reader.idle


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    reader = MessageReader(LIMIT)
    _, output = read(reader, data)
    assert not reader.over or output[:1] in (b"\x88", b"\x8a")
