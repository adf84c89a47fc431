import pytest

from gateway.hub.encoding import STREAM, STREAM_RAW
from gateway.hub.ring import Ring, join
from skyhooks.publication import Publication


def filled(count: int, *, base: int = 0, limit: int = 100, size: int = 10_000) -> Ring:
    ring = Ring(base, limit, size)
    for offset in range(base + 1, base + count + 1):
        ring.append(Publication(f"p{offset}", offset, b"%d" % offset))
    return ring


def test_offsets_must_follow_each_other() -> None:
    ring = filled(3)
    with pytest.raises(ValueError, match="offset 5 does not follow 3"):
        ring.append(Publication("p5", 5, b"5"))


def test_trimming_keeps_the_newest_and_never_what_was_not_flushed() -> None:
    ring = filled(10, limit=4)
    ring.trim(keep_after=3)
    assert (ring.base, ring.head) == (3, 10)
    ring.trim(keep_after=10)
    assert (ring.base, ring.head) == (6, 10)


def test_trimming_counts_bytes_too() -> None:
    ring = Ring(0, 100, 25)
    for offset in range(1, 6):
        ring.append(Publication(f"p{offset}", offset, b"x" * 10))
    ring.trim(keep_after=5)
    assert (ring.base, ring.head) == (3, 5)


def test_a_chunk_joins_frames_and_knows_where_each_ends() -> None:
    chunk = filled(12, base=8).chunk(STREAM_RAW, "e", 9, 12)
    assert chunk.data == b"10\n11\n12\n"
    assert chunk.ends == [3, 6, 9]
    assert [chunk.cursor(taken) for taken in range(4)] == [9, 10, 11, 12]


def test_a_chunk_is_cut_by_size_but_holds_at_least_one_frame() -> None:
    ring = filled(9)
    assert ring.chunk(STREAM_RAW, "e", 0, 9, size=1).last == 1
    assert ring.chunk(STREAM_RAW, "e", 0, 9, size=5).last == 3


def test_a_publication_is_encoded_once_for_each_transport() -> None:
    ring = filled(1)
    once = ring.chunk(STREAM, "e", 0, 1)
    again = ring.chunk(STREAM, "e", 0, 1)
    assert once.data == again.data
    assert ring._entries[0].encoded.keys() == {"stream"}


def test_control_publications_are_passed_over_but_move_the_cursor() -> None:
    ring = Ring(0, 10, 1000)
    ring.append(Publication("a", 1, b"1"))
    ring.append(Publication("b", 2, b"2", control=True))
    chunk = ring.chunk(STREAM_RAW, "e", 0, 2)
    assert (chunk.data, chunk.cursor(1)) == (b"1\n", 2)


def test_a_chunk_without_frames_still_leads_somewhere() -> None:
    assert join(4, 9, []).cursor(0) == 9
