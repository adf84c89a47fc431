"""``skyhooks submit``: its arguments and what it says about a task. A whole run is in tests/integration/test_up.py."""

import sys
from pathlib import Path
from typing import Any

import pytest

from skyhooks.cli.submit import describe
from tests.conftest import Spawn
from tests.processes import free_ports
from tests.unit.skyhooks.cli.conftest import Run


@pytest.fixture
def gateway_with_tasks(spawn: Spawn, tmp_path: Path) -> str:
    """The URL of a gateway that submits tasks, which no worker takes."""
    listen = f"127.0.0.1:{free_ports()}"
    options = ["--listen", listen, "--store", "memory://", "--open", "--broker", f"file://{tmp_path}/broker"]
    spawn([sys.executable, "-P", "-m", "gateway", *options, "-X", "deadline_pause_seconds=0.1"]).wait_for("listening")
    return f"http://{listen}"


@pytest.mark.parametrize("arguments", ["7", '"text"', "null"])
def test_arguments_are_a_list_or_an_object(run: Run, arguments: str) -> None:
    result = run("submit", "workers.tasks.add", arguments)
    assert result.exit_code == 2
    assert "expected a JSON list or object" in result.stderr


def test_a_task_that_is_not_offered_is_refused_in_one_sentence(run: Run, gateway: str) -> None:
    result = run("submit", "os.system", '["ls"]', "--url", gateway)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.output


@pytest.mark.parametrize(("option", "value"), [("--deadline", "-1"), ("--expires", "0"), ("--expires", "1e9")])
def test_a_time_that_no_gateway_takes_is_refused_in_one_sentence(
    run: Run, gateway_with_tasks: str, option: str, value: str
) -> None:
    result = run("submit", "workers.tasks.add", "[1, 2]", option, value, "--url", gateway_with_tasks)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: bad_body: ")
    assert option.removeprefix("--") in result.stderr
    assert "Traceback" not in result.output


def test_a_task_that_no_worker_takes_fails_at_its_deadline(run: Run, gateway_with_tasks: str) -> None:
    options = ["--deadline", "0.1", "--wait", "--url", gateway_with_tasks]
    result = run("submit", "workers.tasks.add", "[1, 2]", *options)
    assert result.exit_code == 1
    assert "FAILURE   DeadlineExceeded: no end was heard of within 0.1 s" in result.output


@pytest.mark.parametrize(
    ("event", "line"),
    [
        ({"state": "STARTED"}, "STARTED"),
        ({"state": "PROGRESS", "meta": {"current": 5, "total": 10}}, f"PROGRESS  [{'#' * 15}{'.' * 15}] 5/10"),
        ({"state": "PROGRESS", "meta": {"current": 20, "total": 10}}, f"PROGRESS  [{'#' * 30}] 20/10"),
        ({"state": "PROGRESS", "meta": {"current": "x", "total": 10}}, 'PROGRESS  {"current":"x","total":10}'),
        ({"state": "PROGRESS", "meta": {"current": 1, "total": 0}}, 'PROGRESS  {"current":1,"total":0}'),
        ({"state": "SUCCESS", "result": {"a": [1]}, "end": True}, 'SUCCESS   {"a":[1]}'),
        ({"state": "SUCCESS", "end": True}, "SUCCESS   null"),
        ({"state": "FAILURE", "error": {"type": "ValueError", "message": "no"}}, "FAILURE   ValueError: no"),
        ({"state": "RETRY", "error": "odd"}, "RETRY     odd"),
        ({}, "?"),
    ],
)
def test_a_state_is_one_line(event: dict[str, Any], line: str) -> None:
    assert describe(event) == line
