"""What an app answers to workers: the same as a gateway, and nothing before the commit."""

import json
from collections.abc import Sequence

import pytest

from skyhooks.adapters.endpoint import Endpoint
from skyhooks.publication import Draft, Outcome
from skyhooks.signature import parse_secrets, signed_headers
from tests.unit.skyhooks.adapters.exchange import CASES, LIMITS, SECRET, SIGNER, Switched, assert_answer, hook

NOW = 1_700_000_000


class Bench:
    def __init__(self, secret: str = "") -> None:
        self.store = Switched()
        self.endpoint = Endpoint(
            self.append, lambda _: 2, verify_with=parse_secrets(secret), limits=LIMITS, clock=lambda: NOW
        )
        self.broken = False

    def append(self, drafts: Sequence[Draft]) -> Sequence[Outcome]:
        if self.broken:
            raise ZeroDivisionError
        return self.store.append(drafts)

    def post(self, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, object]]:
        answer = self.endpoint.answer("POST", "hooks", {"content-type": "application/json", **headers}, body)
        return answer.status, json.loads(answer.body)


@pytest.mark.parametrize("name", CASES)
def test_every_request_has_its_answer_and_a_refused_one_changes_nothing(name: str) -> None:
    case, bench = CASES[name], Bench()
    headers = {key.lower(): value for key, value in case.headers.items()}
    answer = bench.endpoint.answer(case.method, case.path, headers, case.body)
    given = {key.lower(): value for key, value in answer.headers.items()}
    body = b"" if case.method == "HEAD" else answer.body
    assert_answer(case, answer.status, {**given, "content-length": str(len(body))}, body)
    assert bool(bench.store.data()) == (case.status == 200 and case.method == "POST")


def test_a_result_is_answered_with_its_positions_and_who_will_hear() -> None:
    bench = Bench()
    status, answer = bench.post(hook(id="a"), {})
    (item,) = answer["items"]  # type: ignore[misc]
    assert (status, answer["status"], answer["notified"], item["status"]) == (200, "ok", 2, "stored")
    assert list(item["positions"]) == ["accounts/acme"]
    assert bench.post(hook(id="a"), {})[1]["notified"] == 0
    assert len(bench.store.data()) == 1


def test_with_a_secret_only_what_is_signed_with_it_is_taken() -> None:
    bench = Bench(SECRET)
    assert bench.post(hook(), {})[1]["code"] == "unsigned"
    assert bench.post(hook(), signed_headers([SIGNER], "m", NOW - 400, hook()))[1]["code"] == "stale_timestamp"
    assert bench.post(hook(), signed_headers([SIGNER], "m", NOW, b"{}"))[1]["code"] == "bad_signature"
    assert bench.store.data() == []
    assert bench.post(hook(), signed_headers([SIGNER], "m", NOW, hook()))[0] == 200
    assert len(bench.store.data()) == 1


def test_a_store_that_cannot_commit_asks_to_come_again() -> None:
    bench = Bench()
    bench.store.away = True
    answer = bench.endpoint.answer("POST", "hooks", {"content-type": "application/json"}, hook())
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert json.loads(answer.body)["code"] == "store_unavailable"


def test_an_error_of_our_own_is_500_without_detail() -> None:
    bench = Bench()
    bench.broken = True
    status, answer = bench.post(hook(), {})
    assert (status, answer["code"]) == (500, "internal_error")
    assert "Zero" not in str(answer)


def test_a_request_can_be_refused_by_its_head_alone() -> None:
    endpoint = Bench().endpoint
    assert endpoint.refusal("POST", "hooks", "2000") is None
    assert endpoint.refusal("POST", "hooks") is None
    for method, name, length, status in (
        ("POST", "hooks", "2001", 413),
        ("POST", "hooks", "9" * 5000, 413),
        ("GET", "hooks", None, 405),
        ("POST", "elsewhere", None, 404),
        ("POST", "", None, 404),
        ("POST", "readyz", None, 405),
    ):
        refusal = endpoint.refusal(method, name, length)
        assert refusal is not None
        assert refusal.status == status
    assert endpoint.refusal("POST", "hooks", "-1") is None
