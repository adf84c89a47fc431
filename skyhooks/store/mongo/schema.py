"""The collections and their indexes, and what a server must be to hold them."""

from typing import Final

from pymongo import ASCENDING, IndexModel

from skyhooks.errors import StoreUnusable
from skyhooks.store.mongo.row import ROWS, SLOTS
from skyhooks.store.mongo.steps import DATABASE, Steps, call

LEASES: Final = "leases"
HOOKS: Final = "hooks"
RESULTS: Final = "results"
JOURNAL: Final = "journal"
DEADLINES: Final = "deadlines"
ROUNDS: Final = "retention"


def prepare() -> Steps[None]:
    """Make the indexes that are missing; on a store that has them this changes nothing.

    Raises `StoreUnusable` for a server that is not a member of a replica set: there would be no majority to ask.
    """
    hello = yield call(DATABASE, "command", "hello")
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise StoreUnusable(
            "this mongod stands alone, and a store needs a replica set (one member is enough): start it with "
            "mongod --replSet skyhooks, then run rs.initiate() once in mongosh"
        )
    for collection, indexes in _INDEXES.items():
        yield call(collection, "create_indexes", indexes)


def _index(*keys: str, **options: object) -> IndexModel:
    return IndexModel([(key, ASCENDING) for key in keys], **options)


def _row_indexes() -> list[IndexModel]:
    """Each slot has two unique keys, (channel, offset) and (channel, id), over the rows that have it.

    The second has the id first: ids are looked up for many channels at once.
    """
    indexes = [_index("at")]
    for slot in SLOTS:
        there = {f"{slot}.channel": {"$exists": True}}
        indexes += [
            _index(
                f"{slot}.channel", f"{slot}.offset", name=f"{slot}_offset", unique=True, partialFilterExpression=there
            ),
            _index("id", f"{slot}.channel", name=f"{slot}_id", unique=True, partialFilterExpression=there),
        ]
    return indexes


_INDEXES: Final = {
    ROWS: _row_indexes(),
    HOOKS: [_index("id"), _index("anchor")],
    # Only sweeps: whether a result has run out is decided when it is asked for.
    RESULTS: [_index("expires", expireAfterSeconds=0)],
    JOURNAL: [_index("at"), _index("account", "at")],
    DEADLINES: [_index("due")],
}
