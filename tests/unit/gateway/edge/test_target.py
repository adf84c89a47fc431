import pytest

from gateway.edge.target import decode_path, decode_query, origin_form
from skyhooks.errors import Refused


@pytest.mark.parametrize(
    ("target", "path", "authority"),
    [
        ("/a?b", "/a?b", None),
        ("//a", "//a", None),
        ("http://h:8/a?b", "/a?b", "h:8"),
        ("HTTPS://h", "/", "h"),
        ("http://h?b", "/?b", "h"),
    ],
)
def test_a_target_is_reduced_to_path_and_query(target: str, path: str, authority: str | None) -> None:
    assert origin_form("GET", target) == (path, authority)


def test_the_asterisk_is_for_options() -> None:
    assert origin_form("OPTIONS", "*") == ("*", None)
    with pytest.raises(Refused, match="bad_target"):
        origin_form("GET", "*")


@pytest.mark.parametrize("target", ["/a#b", "a", "ftp://h/a", "h:80", ""])
def test_any_other_form_is_refused(target: str) -> None:
    with pytest.raises(Refused, match="bad_target"):
        origin_form("GET", target)


@pytest.mark.parametrize(
    ("raw", "path"), [("/a/b", "/a/b"), ("/%C3%A9", "/é"), ("/a%2Fb", "/a/b"), ("/a/../b", "/a/../b"), ("/a+b", "/a+b")]
)
def test_a_path_is_decoded_and_nothing_else(raw: str, path: str) -> None:
    assert decode_path(raw) == path


@pytest.mark.parametrize("raw", ["/%", "/%4", "/%zz", "/%ff", "/%C3", "/%ED%A0%80"])
def test_a_path_that_is_not_utf8_is_refused(raw: str) -> None:
    with pytest.raises(Refused, match="bad_path"):
        decode_path(raw)


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        ("", {}),
        ("raw", {"raw": ""}),
        ("since=a%3A1&raw=", {"since": "a:1", "raw": ""}),
        ("a=b+c%20d", {"a": "b c d"}),
        ("a=b=c&&", {"a": "b=c"}),
    ],
)
def test_a_query_is_read_into_fields(raw: str, fields: dict[str, str]) -> None:
    assert decode_query(raw, 10) == fields


@pytest.mark.parametrize("raw", ["a=%ff", "%zz=1", "a=1&a=2", "a=1&%61=2", "a&b&c&d"])
def test_a_query_that_is_ambiguous_or_too_long_is_refused(raw: str) -> None:
    with pytest.raises(Refused, match="bad_query"):
        decode_query(raw, 3)
