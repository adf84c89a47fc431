import json
import re
from email import message_from_bytes
from html.parser import HTMLParser

import pytest

from gateway.hub.tail import CHUNKED_TAIL, PAGE, PAGE_RAW, PARTS, PARTS_RAW, POLICY
from skyhooks.publication import START, Position

HERE = Position("e1", 7)
LATER = Position("e1", 9)
HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</code></li></ol>", "&lt;", "'", "\u2028"]


class Elements(HTMLParser):
    """What a browser makes of a piece of the page: the elements, and the text in them."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.shown: list[str] = []
        self.links: list[str] = []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.shown.append(data)


def test_a_publication_shows_its_position_and_the_fields_of_an_object() -> None:
    item = Elements(PAGE.publication(HERE, b'{"state":"SUCCESS","result":{"n":[1,2]}}'))
    assert item.tags == ["li", "a", "dl", "dt", "dd", "code", "dt", "dd", "code"]
    assert item.shown == ["e1-7", "state", '"SUCCESS"', "result", '{"n":[1,2]}', "\n"]
    assert item.links == ["?view=tail&since=e1-7"]


@pytest.mark.parametrize("data", [b"1", b"null", b'"text"', b"[1,[2]]", b"{}", b"1e999"])
def test_anything_else_is_shown_as_it_is(data: bytes) -> None:
    item = Elements(PAGE.publication(HERE, data))
    assert item.tags == ["li", "a", "code"]
    assert item.shown[1] == data.decode()


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_was_published_becomes_markup(text: str) -> None:
    quoted = json.dumps(text, ensure_ascii=False)
    for data in (quoted, f"{{{quoted}:{quoted}}}", f"[{quoted}]"):
        item = Elements(PAGE.publication(HERE, data.encode()))
        assert set(item.tags) <= {"li", "a", "dl", "dt", "dd", "code"}
        assert quoted in "".join(item.shown)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_channels_name_does_not_become_markup_either(name: str) -> None:
    assert name in Elements(PAGE.opening(name)).shown
    assert "img" not in Elements(PAGE.opening(name)).tags


def test_a_small_publication_stays_small_however_deep_it_is() -> None:
    data = b"[" * 900 + b"1," * 100 + b"1" + b"]" * 900
    assert len(PAGE.publication(HERE, data)) < len(data) + 200


def test_the_page_has_a_title_and_a_style_of_which_the_policy_knows_the_hash() -> None:
    page = PAGE.opening("accounts/acme")
    found = Elements(page)
    assert found.tags[:5] == ["html", "head", "meta", "title", "meta"]
    assert found.shown.count("accounts/acme") == 2
    assert "script" not in found.tags
    assert PAGE.headers["Content-Security-Policy"] == POLICY
    assert "script-src" not in POLICY
    assert "unsafe" not in POLICY


def test_a_gap_is_a_notice_that_names_both_ends() -> None:
    item = Elements(PAGE.gap(HERE, LATER))
    assert "what came after e1-7, up to e1-9, is no longer kept" in item.shown
    assert item.links == ["?view=tail&since=e1-9"]


def test_the_page_says_where_it_begins() -> None:
    assert Elements(PAGE.hello(START)).links == ["?view=tail&since=0"]


def test_parts_are_what_any_reader_of_multipart_finds() -> None:
    body = PARTS.opening("a") + PARTS.hello(HERE) + PARTS.keepalive + PARTS.publication(LATER, b'{"n":1}')
    body += PARTS.gap(HERE, LATER)
    message = message_from_bytes(f"Content-Type: {PARTS.content_type}\r\n\r\n".encode() + body)
    contents = [part.get_payload() for part in message.get_payload()]
    assert [json.loads(content) if content.strip() else None for content in contents] == [
        {"position": "e1-7"},
        None,
        {"position": "e1-9", "data": {"n": 1}},
        {"gap": {"from": "e1-7", "to": "e1-9"}},
        None,
    ]


def test_a_part_is_whole_as_soon_as_it_was_written() -> None:
    part = PARTS.publication(HERE, b"1")
    head, _, rest = part.partition(b"\r\n\r\n")
    size = int(re.search(rb"Content-Length: (\d+)", head)[1])
    assert head.startswith(b"Content-Type: application/json\r\n")
    assert rest[size:] == b"\r\n--skyhooks\r\n"


def test_a_publication_cannot_end_its_part() -> None:
    data = json.dumps("\r\n--skyhooks\r\n").encode()
    assert PARTS.publication(HERE, data).count(b"\n--skyhooks") == 1


def test_raw_forms_carry_the_bare_data_in_the_same_frame() -> None:
    assert Elements(PAGE_RAW.publication(HERE, b"[1]")).shown == ["[1]", "\n"]
    assert b"\r\n\r\n[1]\r\n" in PARTS_RAW.publication(HERE, b"[1]")
    for raw, plain in ((PAGE_RAW, PAGE), (PARTS_RAW, PARTS)):
        assert raw.hello(HERE) == raw.gap(HERE, LATER) == b""
        assert raw.opening("a") == plain.opening("a")


def test_each_form_has_a_name_and_a_chunked_twin() -> None:
    plain = (PAGE, PAGE_RAW, PARTS, PARTS_RAW)
    assert len({one.name for one in (*plain, *CHUNKED_TAIL.values())}) == 8
    for one in plain:
        opening = one.opening("a")
        assert CHUNKED_TAIL[one].opening("a") == b"%x\r\n%b\r\n" % (len(opening), opening)
        assert CHUNKED_TAIL[one].headers == one.headers
