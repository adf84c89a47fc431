import pytest

from skyhooks.adapters.limits import Limits


def test_limits_are_those_of_a_gateway_unless_told_otherwise() -> None:
    assert (Limits().body_bytes, Limits().batch_items, Limits().news_seconds) == (1024 * 1024, 1000, 0.1)
    assert Limits(batch_items=5) == Limits(batch_items=5)
    with pytest.raises(AttributeError):
        Limits().batch_items = 3  # type: ignore[misc]
