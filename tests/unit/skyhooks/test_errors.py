import pytest

from skyhooks import errors
from skyhooks.errors import Refused, SkyhooksError, StoreError, StoreUnavailable, StoreUnusable, shown


def test_a_refusal_carries_its_answer() -> None:
    refusal = Refused("too_large", "up to 10 bytes; got 11", 413, {"Connection": "close"})
    assert (refusal.code, refusal.detail, refusal.status) == ("too_large", "up to 10 bytes; got 11", 413)
    assert refusal.headers == {"Connection": "close"}
    assert str(refusal) == "too_large: up to 10 bytes; got 11"


def test_a_refusal_is_a_bad_request_unless_it_says_otherwise() -> None:
    assert (Refused("bad", "x").status, Refused("bad", "x").headers) == (400, {})


def test_refusals_do_not_share_headers() -> None:
    headers = {"Retry-After": "1"}
    refusal = Refused("busy", "x", 503, headers)
    refusal.headers["X"] = "y"
    assert headers == {"Retry-After": "1"}
    assert Refused("bad", "x").headers == {}


def test_everything_that_is_raised_on_purpose_is_in_one_tree() -> None:
    raised = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)]
    assert len(raised) >= 7
    assert all(issubclass(one, SkyhooksError) for one in raised)


def test_an_outage_and_a_wrong_store_are_told_apart() -> None:
    assert issubclass(StoreUnavailable, StoreError)
    assert issubclass(StoreUnusable, StoreError)
    assert not issubclass(StoreUnusable, StoreUnavailable)
    assert not issubclass(StoreUnavailable, StoreUnusable)


@pytest.mark.parametrize(
    "value", ["x" * 1000, ["x"] * 1000, 10**5000, {"a": 10**5000}], ids=["text", "list", "huge", "dict"]
)
def test_what_came_is_shown_short(value: object) -> None:
    assert 0 < len(shown(value)) <= 60


def test_what_came_is_shown_as_python_writes_it() -> None:
    assert [shown(7), shown("7"), shown(None), shown("a\n")] == ["7", "'7'", "None", "'a\\n'"]
