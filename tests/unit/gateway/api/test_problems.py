"""The table of problems is what the sources say, in both directions."""

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gateway.api.problems import CONNECT, EDGE, NODE, PROBLEMS, SIGNING, Problem
from gateway.edge.request import problem
from skyhooks.errors import Refused

ROOT = Path(__file__).parents[4]
LIBRARY = ("channel", "intake", "publication", "registry", "signature", "webhook")
"""The modules of the library whose refusals a gateway answers with."""
NEVER_ANSWERED = {"bad_kind", "bad_node", "node_taken"}
"""Refusals of the registry's Python API; what comes over HTTP has no such fields."""
DEPENDS = {
    "bad_batch": {400, 413},
    "bad_request": {400},
    "internal_error": {500},
}
"""Codes whose status is computed where they are raised."""


def refusals() -> Iterator[tuple[str, int | None]]:
    """Code and status (None when it is computed) of every refusal in the sources."""
    paths = [*(ROOT / "gateway").rglob("*.py"), *(ROOT / "skyhooks" / f"{name}.py" for name in LIBRARY)]
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Refused":
                code, status = node.args[0], node.args[2] if len(node.args) > 2 else ast.Constant(400)
                assert isinstance(code, ast.Constant), f"{path}:{node.lineno}: the code is written out"
                yield code.value, status.value if isinstance(status, ast.Constant) else None


def test_every_refusal_is_in_the_table_with_its_status() -> None:
    found = {(code, status) for code, status in refusals() if code not in NEVER_ANSWERED}
    assert {code for code, status in found if status is None} <= set(DEPENDS)
    missing = [(code, status) for code, status in found if status and status not in PROBLEMS[code].statuses]
    assert missing == []


def test_the_table_has_nothing_that_is_not_raised() -> None:
    raised: dict[str, set[int]] = {code: set(statuses) for code, statuses in DEPENDS.items()}
    for code, status in refusals():
        if status:
            raised.setdefault(code, set()).add(status)
    assert {code: set(kind.statuses) for code, kind in PROBLEMS.items()} == {
        code: statuses for code, statuses in raised.items() if code not in NEVER_ANSWERED
    }


def test_a_code_is_in_one_group_and_says_what_it_means() -> None:
    assert len(PROBLEMS) == len(EDGE) + len(NODE) + len(CONNECT)
    assert set(SIGNING) <= set(NODE)
    assert all(kind.meaning.endswith(".") for kind in PROBLEMS.values())


def test_an_answer_is_a_problem_of_the_declared_form() -> None:
    body = problem(Refused("fenced", "why", 409)).body
    assert msgspec.json.decode(body, type=Problem) == Problem(
        "urn:skyhooks:problem:fenced", "fenced", 409, "fenced", "why"
    )
    assert set(msgspec.json.decode(body)) == set(Problem.__struct_fields__)
