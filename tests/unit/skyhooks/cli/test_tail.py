"""``skyhooks tail``, as the program that people run."""

import json
import signal
import sys
from collections.abc import Callable

from skyhooks.client import Client
from tests.conftest import Spawn
from tests.unit.skyhooks.cli.conftest import Run

SKYHOOKS = [sys.executable, "-P", "-m", "skyhooks.cli"]


def test_it_prints_one_line_a_publication_until_interrupted(spawn: Spawn, gateway: str) -> None:
    client = Client(gateway)
    done = [client.publish("accounts/tail", {"n": n}) for n in range(2)]
    process = spawn([*SKYHOOKS, "tail", "accounts/tail", "--since", "0", "--url", gateway])
    process.wait_for('"n":1')
    done.append(client.publish("accounts/tail", {"n": 2}))
    process.wait_for('"n":2')
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    found = [json.loads(line) for line in process.lines[:3]]
    assert found == [{"position": one.position, "data": {"n": n}} for n, one in enumerate(done)]
    assert process.lines[-1] == f"Next: skyhooks tail accounts/tail --since {done[2].position} goes on from here."
    assert "Traceback" not in process.output


def test_raw_is_the_data_alone(spawn: Spawn, gateway: str) -> None:
    Client(gateway).publish("accounts/raw", {"n": 1})
    process = spawn([*SKYHOOKS, "tail", "accounts/raw", "--since", "0", "--raw", "--url", gateway])
    process.wait_for("n")
    assert process.lines == ['{"n":1}']


def test_a_position_that_is_none_is_refused_in_one_sentence(run: Run, gateway: str) -> None:
    result = run("tail", "accounts/acme", "--since", "yesterday", "--url", gateway)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: bad_position: ")


def test_nobody_there_is_said_with_what_to_do(run: Run, free_port: Callable[[], int]) -> None:
    result = run("tail", "accounts/acme", "--url", f"http://127.0.0.1:{free_port()}")
    assert result.exit_code == 1
    assert "start one with `skyhooks up`" in result.stderr


def test_a_url_of_no_gateway_is_a_usage_error(run: Run) -> None:
    assert run("tail", "accounts/acme", "--url", "localhost").exit_code == 2
