import msgspec

from gateway.edge.request import Response, WebSocket, problem
from skyhooks.errors import Refused
from skyhooks.problem import PROBLEM


def test_a_refusal_becomes_a_problem_with_its_code() -> None:
    answer = problem(Refused("bad_path", "no such thing", 404, {"Retry-After": "1"}))
    assert answer.status == 404
    assert answer.headers == {"Content-Type": PROBLEM, "Retry-After": "1"}
    assert msgspec.json.decode(answer.body) == {
        "type": "urn:skyhooks:problem:bad_path",
        "title": "bad path",
        "status": 404,
        "code": "bad_path",
        "detail": "no such thing",
    }


def test_default_headers_are_not_shared() -> None:
    assert Response().headers == {}
    assert "headers" in WebSocket.__struct_fields__
