"""The server's clock. Nothing in this store asks another."""

from datetime import datetime
from typing import Any, Protocol

from bson import Timestamp

from skyhooks.store.mongo.steps import DATABASE, Steps, aggregate


class Clock(Protocol):
    """Where the server takes its time from."""

    def now(self) -> Any:
        """An aggregation expression for the present, as a date."""
        ...

    def stamp(self) -> Timestamp:
        """What to write where a row's time belongs. It never goes backwards along a channel."""
        ...


class ServerClock:
    """The clock of the server that answers."""

    def now(self) -> Any:
        """See `Clock.now`."""
        return "$$NOW"

    def stamp(self) -> Timestamp:
        """The value that the server replaces by its cluster time, which never goes backwards, not even at a failover.

        https://www.mongodb.com/docs/manual/reference/bson-types/#timestamps
        """
        return Timestamp(0, 0)


def later(now: Any, seconds: float) -> Any:
    """An expression for `now` and so many seconds."""
    return {"$add": [now, round(seconds * 1000)]}


def seconds_now(clock: Clock) -> Steps[float]:
    """The present, in seconds since 1970."""
    (answer,) = yield aggregate(DATABASE, [{"$documents": [{}]}, {"$set": {"now": clock.now()}}])
    now: datetime = answer["now"]
    return now.timestamp()
