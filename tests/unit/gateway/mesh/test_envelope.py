"""What travels between nodes: it comes back as it was, and what is no envelope is garbage."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.mesh.envelope import (
    MARK,
    MAX_DETAIL,
    Garbage,
    Question,
    Reply,
    failure,
    pack,
    read_envelope,
    seal,
    unpack,
)


def test_questions_and_replies_come_back() -> None:
    for sent in (
        Question(7, "status", 1.5, pack({"a": [1, "ü", None]})),
        Reply(7, pack([1])),
        failure(7, "busy", "no"),
    ):
        assert read_envelope(seal(sent)) == sent


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [MARK],
        [b"skyhooks-rpc/2", seal(Reply(1, pack(1)))[1]],
        [*seal(Reply(1, pack(1))), b""],
        [MARK, b""],
        [MARK, b"\xc1"],
        [MARK, msgspec.msgpack.encode(["?", 1, "x", 0, None])],
        [MARK, msgspec.msgpack.encode(["?", 1, "x", float("nan"), None])],
        [MARK, msgspec.msgpack.encode(["?", 1, "x", 3601, None])],
        [MARK, msgspec.msgpack.encode(["?", -1, "x", 1, None])],
        [MARK, msgspec.msgpack.encode(["?", 1, "x" * 65, 1, None])],
        [MARK, msgspec.msgpack.encode(["?", 1, b"x", 1, None])],
        [MARK, msgspec.msgpack.encode(["%", 1, "x", 1, None])],
        [MARK, b"\x91" * 100_000],
    ],
)
def test_what_is_no_envelope_is_garbage(parts: list[bytes]) -> None:
    with pytest.raises(Garbage):
        read_envelope(parts)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with suppress(Garbage):
        unpack(read_envelope([MARK, body]).payload)


def test_a_payload_of_another_kind_is_garbage() -> None:
    with pytest.raises(Garbage):
        unpack(pack("one"), int)
    assert unpack(pack([1, 2]), list[int]) == [1, 2]


def test_a_long_detail_is_cut_and_a_failure_always_has_a_code() -> None:
    reply = failure(1, "", "x" * 5000)
    assert (reply.code, len(reply.detail)) == ("failed", MAX_DETAIL)
    assert read_envelope(seal(reply)) == reply
