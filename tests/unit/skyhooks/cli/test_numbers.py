"""``skyhooks numbers`` becomes the number server, with every option."""

import signal
import sys

import pytest

from tests.conftest import Spawn

NUMBERS = [sys.executable, "-P", "-m", "skyhooks.cli", "numbers"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(spawn: Spawn, number: signal.Signals) -> None:
    process = spawn([*NUMBERS, "--listen", "127.0.0.1:0", "--rate-per-minute", "120"])
    process.wait_for(r"listening.*numbers=127\.0\.0\.1:[1-9].*rate_per_minute=120")
    process.signal(number)
    assert process.wait() == 0
    assert "Traceback" not in process.output


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--listen", "nonsense"], "numbers_listen is HOST:PORT"),
        (["--listen", ":7000"], "numbers_listen is HOST:PORT"),
        (["--listen", "127.0.0.1:70000"], "numbers_listen is HOST:PORT"),
        (["--listen", "192.0.2.1:7000"], "cannot serve numbers"),
        (["--rate-per-minute", "0"], "expected 0.01 to 600000 numbers in a minute"),
        (["-X", "nonsense=1"], "unknown setting nonsense"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_sentence(spawn: Spawn, options: list[str], expected: str) -> None:
    process = spawn([*NUMBERS, *options])
    assert process.wait() == 1
    assert expected in process.output
    assert "Traceback" not in process.output


def test_help_says_how_to_call_it(spawn: Spawn) -> None:
    process = spawn([*NUMBERS, "--help"])
    assert process.wait() == 0
    assert "Example: skyhooks numbers" in process.output
