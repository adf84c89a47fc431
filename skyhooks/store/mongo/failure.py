"""What an error of pymongo or of the server means for the caller: asked again later, never again, or our own bug.

Codes: https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml. Most of what a server says passes
with time (an election, a timeout, a full disk), so that is what an unknown code is taken for.
"""

from typing import Any, Final

from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from skyhooks.errors import StoreError, StoreUnavailable, StoreUnusable

DUPLICATE_KEY: Final = 11000
_STARTING: Final = "Sessions are not supported"
"""What the driver makes of a server that has not read its replica set's configuration yet: its greeting (`hello`)
has no ``logicalSessionTimeoutMinutes``. All versions that we work with have sessions."""
_CREDENTIALS: Final = frozenset({11, 18, 8000})
_UNAUTHORIZED: Final = 13
_OTHER_INDEXES: Final = frozenset({67, 85, 86})
_OUR_MISTAKES: Final = frozenset({2, 9, 14, 17, 59, 73, 10334})
"""BadValue, FailedToParse, TypeMismatch, ProtocolError, CommandNotFound, InvalidNamespace, BSONObjectTooLarge."""


def is_collision(error: PyMongoError) -> bool:
    """Whether an ordered insert was refused by a unique key, whichever, and failed in no other way."""
    if not isinstance(error, BulkWriteError):
        return False
    details: Any = error.details or {}
    failed = details.get("writeErrors", [])
    return bool(failed) and not details.get("writeConcernErrors") and all(e["code"] == DUPLICATE_KEY for e in failed)


def mongo_failure(place: str, error: PyMongoError) -> StoreError | None:
    """The store error that `error` stands for; None when it is a mistake in what we asked."""
    if isinstance(error, ServerSelectionTimeoutError):
        return StoreUnavailable(f"{place} has no primary that can be reached: {_hint(str(error))}")
    if isinstance(error, ConfigurationError):
        if _STARTING in str(error):
            return StoreUnavailable(f"{place} has a member that has only just started: {error}")
        return StoreUnusable(f"{place} cannot be used with this URL: {error}")
    if isinstance(error, DocumentTooLarge):
        return None
    if isinstance(error, OperationFailure):
        return _server_failure(place, error)
    if isinstance(error, ConnectionFailure):
        return StoreUnavailable(f"{place} did not answer: {_short(str(error))}")
    if isinstance(error, InvalidOperation):
        return StoreUnavailable(f"{place} was closed while it was asked")
    return StoreUnavailable(f"{place} cannot be used now: {_short(str(error))} ({type(error).__name__})")


def _server_failure(place: str, error: OperationFailure) -> StoreError | None:
    code, text = _code_of(error)
    if code in _CREDENTIALS:
        return StoreUnusable(
            f"{place} refused the user name or the password: {text}; correct the URL, or name the database that knows "
            "the user with authSource=…"
        )
    if code == _UNAUTHORIZED:
        return StoreUnusable(f"{place} does not allow this user to do it: {text}; give it the role readWrite there")
    if code in _OTHER_INDEXES:
        return StoreUnusable(f"{place} holds other indexes than ours: {text}; name another database")
    if code in _OUR_MISTAKES:
        return None
    return StoreUnavailable(f"{place} could not do it now: {text} (code {code})")


def _code_of(error: OperationFailure) -> tuple[int, str]:
    """The code that matters: in a batch that of the row that failed, else that of its write concern."""
    details: Any = error.details or {}
    if isinstance(error, BulkWriteError):
        for failed in [*details.get("writeErrors", []), *details.get("writeConcernErrors", [])]:
            return failed.get("code", 0), _short(failed.get("errmsg", ""))
    return error.code or 0, _short(str(details.get("errmsg", error)))


def _hint(text: str) -> str:
    if "RSGhost" in text:
        return "its replica set was never started; run rs.initiate() once in mongosh"
    return _short(text)


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
