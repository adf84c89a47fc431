"""``skyhooks publish``."""

import pytest

from tests.unit.skyhooks.cli.conftest import Run


def test_it_says_where_the_publication_is_and_what_to_do_next(run: Run, gateway: str) -> None:
    result = run("publish", "accounts/acme", '{"n": 1}', "--url", gateway)
    assert result.exit_code == 0
    assert result.stdout.startswith("stored accounts/acme at position ")
    assert result.stderr == "Next: skyhooks tail accounts/acme --since 0\n"


def test_the_same_id_is_stored_once(run: Run, gateway: str) -> None:
    first, second = (run("publish", "accounts/twice", "1", "--id", "x", "--url", gateway) for _ in range(2))
    assert second.stdout == first.stdout.replace("stored", "duplicate")


@pytest.mark.parametrize("text", ["{", "hello", "", "{'n': 1}"])
def test_what_is_not_json_is_a_usage_error(run: Run, text: str) -> None:
    result = run("publish", "a", text)
    assert result.exit_code == 2
    assert "expected JSON, such as '{\"n\": 1}'" in result.stderr
    assert repr(text) in result.stderr


def test_a_channel_that_is_none_is_refused_in_one_sentence(run: Run) -> None:
    result = run("publish", "a b", "1")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: bad_channel: a channel is")


def test_a_secret_that_is_none_is_a_usage_error_that_does_not_repeat_it(run: Run) -> None:
    result = run("publish", "a", "1", "--secret", "whsec_short")
    assert result.exit_code == 2
    assert "`skyhooks secret` makes one" in result.stderr
    assert "short" not in result.stderr
