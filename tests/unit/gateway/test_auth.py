import pytest

from gateway.auth import check_host, check_origin
from skyhooks.errors import Refused


@pytest.mark.parametrize(
    "host", ["localhost", "Localhost:8080", "127.0.0.1", "192.0.2.7:80", "[::1]", "[2001:db8::1]:443"]
)
def test_addresses_and_localhost_are_always_answered(host: str) -> None:
    check_host(host, ())


@pytest.mark.parametrize(
    "host", ["", "example.com", "127.0.0.1.example.com", "localhost.", "[::1", "a:b:c", "a@127.0.0.1:x"]
)
def test_any_other_host_is_refused(host: str) -> None:
    with pytest.raises(Refused) as caught:
        check_host(host, ("hooks.example",))
    assert (caught.value.code, caught.value.status) == ("bad_host", 421)


def test_names_on_the_list_are_answered_whatever_their_case_and_port() -> None:
    check_host("HOOKS.example:8443", ("hooks.Example",))
    check_host("anything.example", ("*",))


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "hooks.example"),
        ("http://hooks.example", "hooks.example"),
        ("https://hooks.example", "hooks.example"),
        ("https://hooks.example", "hooks.example:443"),
        ("http://HOOKS.example:8080", "hooks.example:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("https://app.example", "hooks.example"),
    ],
)
def test_programs_own_pages_and_listed_pages_are_accepted(origin: str | None, host: str) -> None:
    check_origin(origin, host, ("https://app.example",))


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "http://",
        "http://app.example",
        "https://app.example.evil",
        "https://hooks.example:444",
        "http://hooks.example:8080",
        "file://hooks.example",
        "http://[",
        "http://hooks.example:x",
    ],
)
def test_any_other_page_is_refused(origin: str) -> None:
    with pytest.raises(Refused) as caught:
        check_origin(origin, "hooks.example", ("https://app.example",))
    assert (caught.value.code, caught.value.status) == ("bad_origin", 403)
