"""Frames: what is written is what is read, and what is not a frame is refused with a reason."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mesh.frames import MAX_OFFSET, BadFrame, Frame, channel_of, decode, encode, split, topic_of
from skyhooks.publication import Publication

pack = msgspec.msgpack.encode


def read(message: bytes, channel: str = "accounts/acme") -> Frame:
    topic, body = split(message)
    assert topic == topic_of(channel)
    return decode(channel, body)


@given(
    first=st.integers(1, 10**9),
    items=st.lists(st.tuples(st.text(max_size=50), st.binary(max_size=50), st.booleans()), max_size=5),
    beyond=st.integers(0, 5),
    epoch=st.text("abcXYZ019.", max_size=64),
    node=st.text(min_size=1, max_size=128),
)
def test_what_is_written_is_what_is_read(
    first: int, items: list[tuple[str, bytes, bool]], beyond: int, epoch: str, node: str
) -> None:
    publications = tuple(
        Publication(id, first + number, data.translate(None, b"\r\n"), control)
        for number, (id, data, control) in enumerate(items)
    )
    head = first + len(items) + beyond if beyond or not items else 0
    frame = Frame("accounts/acme", epoch, publications, head, node)
    assert read(encode(frame)) == frame


def test_a_topic_is_no_prefix_of_another_channels() -> None:
    assert not topic_of("accounts/12").startswith(topic_of("accounts/1"))
    assert channel_of(topic_of("accounts/1")) == "accounts/1"


@pytest.mark.parametrize(
    "topic", [b"", b"\0", b"numbers", b"a//b\0", b"../x\0", b"\xff\0", b"a b\0", b"x" * 256 + b"\0"]
)
def test_what_names_no_channel_is_no_topic(topic: bytes) -> None:
    assert channel_of(topic) is None


def test_a_topic_that_is_too_long_is_not_looked_for_further() -> None:
    assert split(b"x" * 300 + b"\0rest") == (b"", b"x" * 300 + b"\0rest")
    assert split(b"x" * 255 + b"\0rest") == (b"x" * 255 + b"\0", b"rest")


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        ((2, "n", "some", {"other": "layout"}), "got version 2"),
        ((1, "n", "e", 0), "length"),
        ((1, "n", "e", 0, [], "more"), "length"),
        ((1, "n", "e", "0", []), "int"),
        ((1, "n", "e", 0, [("id", 1, "text", False)]), "bytes"),
        ((1, "n", "e", 0, [("id", 1, b"1")]), "length"),
        ((1, "n", "e", 0, [("i" * 201, 1, b"1", False)]), "length"),
        ((1, "n", "e", 0, [("id", 0, b"1", False)]), ">= 1"),
        ((1, "n", "e", -1, []), ">= 0"),
        ((1, "n", "e", MAX_OFFSET + 1, []), "<="),
        ((1, "n", "e" * 65, 1, []), "regex"),
        ((1, "n", "e-1", 1, []), "regex"),
        ((1, "n", "e\n", 1, []), "regex"),
        ((1, "n", "e", 0, []), "neither"),
        ((1, "n", "e", 0, [("a", 1, b"1", False), ("b", 3, b"1", False)]), "expected offset 2"),
        ((1, "n", "e", 0, [("a", 2, b"1", False), ("b", 1, b"1", False)]), "expected offset 3"),
        ((1, "n", "e", 0, [("a", 2, b"1", False), ("b", 2, b"1", False)]), "expected offset 3"),
        ((1, "n", "e", 5, [("a", 5, b"1", False)]), "head beyond offset 5"),
        ((1, "n", "e", 0, [("a", 5, b'"1\n2"', False)]), "one line"),
        ((1, "n", "e", 0, [("a", 5, b'"1\r2"', False)]), "one line"),
    ],
)
def test_a_frame_with_a_fault_is_refused_and_its_sender_named(wire: object, expected: str) -> None:
    with pytest.raises(BadFrame, match=expected) as refused:
        decode("numbers", pack(wire))
    assert refused.value.node == "n"
    assert refused.value.code == "bad_frame"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"GET / HTTP/1.1\r\n",
        pack({}),
        pack([]),
        pack([1]),
        pack([1, ""]),
        pack([1, "n" * 129]),
        b"\x91" * 5000,
    ],
)
def test_what_is_no_frame_at_all_is_refused_without_a_name(body: bytes) -> None:
    with pytest.raises(BadFrame, match="bytes that are none") as refused:
        decode("numbers", body)
    assert refused.value.node == ""


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        frame = decode("numbers", body)
    except BadFrame:
        return
    assert decode("numbers", split(encode(frame))[1]) == frame
