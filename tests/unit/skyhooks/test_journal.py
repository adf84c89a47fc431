"""How entries travel to the journal."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyhooks.journal import MARK, MAX_DATA, MAX_WORD, MOST, Garbage, Note, messages, read_notes


def test_notes_come_back_in_messages_of_bounded_size() -> None:
    notes = [Note.of("stored", "n1", "acme", f"t{number}", id="ü") for number in range(MOST * 2 + 1)]
    parts = list(messages(notes))
    assert len(parts) == 3
    assert [note for one in parts for note in read_notes(one)] == notes
    assert list(messages([])) == []


def test_an_entry_has_everything_but_the_time() -> None:
    entry = Note.of("finished", "w:1", "acme", "t1", state="SUCCESS", runtime=0.5).entry
    assert (entry.event, entry.node, entry.account, entry.task_id, entry.at) == ("finished", "w:1", "acme", "t1", 0.0)
    assert entry.data == '{"state":"SUCCESS","runtime":0.5}'


def test_what_is_too_long_is_cut_before_it_is_sent() -> None:
    note = Note.of("x" * 999, "y" * 999, "a" * 999, "t" * 999, big="z" * MAX_DATA)
    assert {len(word) for word in (note.event, note.node, note.account, note.task_id)} == {MAX_WORD}
    assert note.data == "{}"
    assert read_notes(next(messages([note]))) == [note]


def message(*fields: object, count: int = 1) -> list[bytes]:
    return [MARK, msgspec.msgpack.encode([list(fields)] * count)]


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [MARK],
        [b"skyhooks-journal/2", msgspec.msgpack.encode([])],
        [MARK, b"\xc1"],
        [MARK, b"\x91" * 100_000],
        [*message("stored", "n1"), b""],
        message("stored"),
        message("stored", 7),
        message("stored", "n" * (MAX_WORD + 1)),
        message("stored", "n1", "", "", "not json"),
        message("stored", "n1", "", "", "[]"),
        message("stored", "n1", "", "", '{"a":"' + "x" * MAX_DATA + '"}'),
        message("stored", "n1", "", "", '{"a":' + "[" * 3000),
        message("stored", "n1", count=MOST + 1),
    ],
)
def test_what_is_no_message_is_garbage(parts: list[bytes]) -> None:
    with pytest.raises(Garbage):
        read_notes(parts)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with suppress(Garbage):
        read_notes([MARK, body])
