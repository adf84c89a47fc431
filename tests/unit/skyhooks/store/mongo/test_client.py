"""What both clients have in common."""

import pytest

from skyhooks.errors import StoreError, StoreUnavailable
from skyhooks.store.mongo import AsyncMongoStore, MongoStore

AWAY = "mongodb://u:hunter2@127.0.0.1:1/work?serverSelectionTimeoutMS=50"


def test_a_server_that_is_away_is_unavailable_each_time() -> None:
    store = MongoStore(AWAY)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1/work") as caught:
            store.head("accounts/a")
        assert "hunter2" not in str(caught.value)
    store.close()


async def test_a_server_that_is_away_is_unavailable_for_a_gateway_too() -> None:
    store = AsyncMongoStore(AWAY)
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1/work"):
        await store.head("accounts/a")
    await store.close()


def test_a_closed_store_says_so() -> None:
    store = MongoStore(AWAY)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="has been closed"):
        store.head("accounts/a")


async def test_a_closed_store_says_so_to_a_gateway_too() -> None:
    store = AsyncMongoStore(AWAY)
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="has been closed"):
        await store.head("accounts/a")
