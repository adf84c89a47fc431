"""What errors of MongoDB mean."""

from typing import Any

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidOperation,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WTimeoutError,
)

from skyhooks.errors import StoreUnavailable, StoreUnusable
from skyhooks.store.mongo.failure import is_collision, mongo_failure

DUPLICATE = {"index": 0, "code": 11000, "errmsg": "E11000 duplicate key"}
FULL = {"index": 1, "code": 14031, "errmsg": "disk full"}
WAITED = {"code": 64, "errmsg": "waiting for replication timed out"}


def bulk(*errors: dict[str, Any], concern: dict[str, Any] | None = None) -> BulkWriteError:
    return BulkWriteError({"writeErrors": list(errors), "writeConcernErrors": [concern] if concern else []})


@pytest.mark.parametrize(
    "error",
    [
        ServerSelectionTimeoutError("nobody"),
        AutoReconnect("gone"),
        NetworkTimeout("slow"),
        NotPrimaryError("stepped down"),
        ExecutionTimeout("slow", 50),
        WTimeoutError("slow", 64),
        OperationFailure("shutting down", 91),
        OperationFailure("disk full", 14031),
        InvalidOperation("Cannot use MongoClient after close"),
        ConfigurationError("Sessions are not supported by this MongoDB deployment"),
        bulk(FULL),
        bulk(concern=WAITED),
        bulk(DUPLICATE),
    ],
)
def test_what_passes_with_time_is_unavailable(error: PyMongoError) -> None:
    failure = mongo_failure("MongoDB at h/db", error)
    assert isinstance(failure, StoreUnavailable)
    assert "MongoDB at h/db" in str(failure)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OperationFailure("Authentication failed.", 18), "password"),
        (OperationFailure("not authorized", 13), "readWrite"),
        (OperationFailure("same name, other options", 86), "other indexes"),
        (ConfigurationError("unknown mechanism"), "this URL"),
        (bulk({"index": 0, "code": 13, "errmsg": "not authorized"}), "readWrite"),
    ],
)
def test_what_a_person_must_change_is_unusable(error: PyMongoError, said: str) -> None:
    failure = mongo_failure("MongoDB at h/db", error)
    assert isinstance(failure, StoreUnusable)
    assert said in str(failure)


@pytest.mark.parametrize(
    "error", [OperationFailure("bad value", 2), OperationFailure("failed to parse", 9), DocumentTooLarge("17 MB")]
)
def test_a_mistake_in_our_questions_is_none_of_the_stores(error: PyMongoError) -> None:
    assert mongo_failure("MongoDB at h/db", error) is None


def test_a_replica_set_that_was_never_started_is_told_how() -> None:
    failure = mongo_failure("h", ServerSelectionTimeoutError("<ServerDescription server_type: RSGhost>"))
    assert "rs.initiate()" in str(failure)


def test_long_texts_are_cut() -> None:
    assert len(str(mongo_failure("h", AutoReconnect("x" * 10_000)))) < 300


@pytest.mark.parametrize(
    ("error", "collision"),
    [
        (bulk(DUPLICATE), True),
        (bulk(DUPLICATE, concern=WAITED), False),
        (bulk(FULL), False),
        (bulk(concern=WAITED), False),
        (AutoReconnect("gone"), False),
        (DuplicateKeyError("not from a batch", 11000), False),
    ],
)
def test_a_collision_is_a_batch_that_a_unique_key_refused_and_nothing_else(
    error: PyMongoError, collision: bool
) -> None:
    assert is_collision(error) == collision
