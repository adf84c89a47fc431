"""What both clients of the store have in common: how they use the server, and the errors that their calls end with."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pymongo import ReadPreference, WriteConcern
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from skyhooks.errors import StoreUnavailable
from skyhooks.store.mongo.clock import Clock, ServerClock
from skyhooks.store.mongo.failure import mongo_failure
from skyhooks.store.mongo.place import place_of

CONCERN: Final[dict[str, Any]] = {"w": "majority", "j": True, "wtimeout": 8_000}
"""On most members' disks, or an answer within so many milliseconds that it is not: then it may still come to be."""

DURABLE: Final[dict[str, Any]] = {
    "write_concern": WriteConcern(**CONCERN),
    "read_concern": ReadConcern("majority"),
    "read_preference": ReadPreference.PRIMARY,
}
"""How the database is used, whatever the URL says: what is acknowledged survives, what is read was acknowledged."""


class Opened:
    """What the store is whichever client asks: its place, the server's clock, whether it was closed. `url` has
    no password.

    Raises `StoreUnusable` for a URL that cannot work.
    """

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self._place = place_of(url)
        self._clock = clock or ServerClock()
        self._closed = False
        self.url = self._place.shown

    def _options(self) -> dict[str, Any]:
        """What a client is made with besides the URL. It connects with its first call."""
        return {"connect": False, "tz_aware": True, **self._place.options()}

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turns the errors of a call into those of a store."""
        if self._closed:
            raise StoreUnavailable(f"the store {self._place} has been closed")
        try:
            yield
        except PyMongoError as error:
            failure = mongo_failure(str(self._place), error)
            if failure is None:
                raise
            raise failure from error
