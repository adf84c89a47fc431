"""The store in MongoDB: for many machines, on a replica set, as durable as its majority.

How it stays right without transactions, locks or head records (design, section 6):

- **One document a publication**, with a slot for each of its channels (`skyhooks.store.mongo.row`). One insert puts it
  into both channels or into neither.
- **Appending is a compare-and-swap**: read the newest row, insert behind it; the unique key (channel, offset) refuses
  whoever comes second. So what was decided from the newest row (who is superseded, who is fenced) holds exactly if
  the insert succeeds.
- **After any error the ids are looked up**, read at majority: found is stored, not found is unknown and goes again. An
  insert that arrives after it was given up meets one of the unique keys, so it can never store anything twice.
- **Reads are at majority, from the primary.** They need not be linearizable: a primary that has been deposed without
  knowing it may show an older newest row, and the insert behind that one is refused by the real primary.
- **Time is the server's**, ``$$NOW`` in every comparison and ``Timestamp(0, 0)`` in every row.

The logic is written once, as generators that say what to ask the server (`skyhooks.store.mongo.steps`). `MongoStore`
asks with pymongo's blocking client, `AsyncMongoStore` with its asyncio one.
"""

from skyhooks.store.mongo.awaiting import AsyncMongoStore
from skyhooks.store.mongo.blocking import MongoStore

__all__ = ["AsyncMongoStore", "MongoStore"]
