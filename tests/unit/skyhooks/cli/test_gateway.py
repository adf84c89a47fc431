"""``skyhooks gateway`` becomes the gateway, with every option."""

import signal
import sys
from collections.abc import Callable

import requests

from tests.conftest import Spawn

SKYHOOKS = [sys.executable, "-P", "-m", "skyhooks.cli"]


def test_it_is_the_gateway_itself(spawn: Spawn, free_port: Callable[[], int]) -> None:
    port = free_port()
    process = spawn([*SKYHOOKS, "gateway", "--listen", f"127.0.0.1:{port}", "--store", "memory://", "--open"])
    process.wait_for("listening")
    assert requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).ok
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


def test_help_is_that_of_the_gateway(spawn: Spawn) -> None:
    process = spawn([*SKYHOOKS, "gateway", "--help"])
    assert process.wait() == 0
    assert "--listen HOST:PORT" in process.output
    assert "Example: skyhooks gateway" in process.output


def test_a_wrong_option_is_said_without_a_traceback(spawn: Spawn) -> None:
    process = spawn([*SKYHOOKS, "gateway", "--frobnicate"])
    assert process.wait() == 2
    assert "--frobnicate" in process.output
    assert "Traceback" not in process.output
