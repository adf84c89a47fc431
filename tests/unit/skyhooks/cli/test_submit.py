"""``skyhooks submit``: its arguments and what it says about a task. A whole run is in tests/integration/test_up.py."""

from typing import Any

import pytest

from skyhooks.cli.submit import describe
from tests.unit.skyhooks.cli.conftest import Run


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
