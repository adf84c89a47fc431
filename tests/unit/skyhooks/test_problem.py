import json

from skyhooks.errors import Refused
from skyhooks.problem import PROBLEM, problem_body


def test_a_refusal_is_written_as_rfc_9457_says() -> None:
    assert PROBLEM == "application/problem+json"
    assert json.loads(problem_body(Refused("bad_keys", "what was expected", 422))) == {
        "type": "urn:skyhooks:problem:bad_keys",
        "title": "bad keys",
        "status": 422,
        "code": "bad_keys",
        "detail": "what was expected",
    }
