"""Which feed is behind a URL."""

import pytest

from gateway.feeds import open_feed
from gateway.feeds.lines import LineFeed
from gateway.feeds.numbers import NumberFeed
from skyhooks.errors import SettingsError


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("numbers://127.0.0.1:7000", NumberFeed),
        ("numbers://[::1]:7000", NumberFeed),
        ("lines:///var/log/it.jsonl", LineFeed),
    ],
)
def test_the_scheme_says_which_feed_it_is(url: str, kind: type) -> None:
    assert isinstance(open_feed(url), kind)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "expected one of numbers://, lines://"),
        ("numbers", "expected one of numbers://, lines://"),
        ("http://127.0.0.1:7000", "expected one of numbers://, lines://"),
        ("numbers://127.0.0.1", "expected numbers://HOST:PORT"),
        ("numbers://:7000", "expected numbers://HOST:PORT"),
        ("numbers://127.0.0.1:99999", "a feed is given as a URL"),
        ("numbers://127.0.0.1:x", "a feed is given as a URL"),
        ("numbers://[::1:7000", "a feed is given as a URL"),
        ("lines://host/path", "expected lines:///absolute/path"),
        ("lines:relative", "expected lines:///absolute/path"),
        ("lines://", "expected lines:///absolute/path"),
    ],
)
def test_a_url_that_is_none_is_refused_with_the_reason(url: str, expected: str) -> None:
    with pytest.raises(SettingsError, match="a feed is given as a URL") as refused:
        open_feed(url)
    assert expected in str(refused.value)
