"""A process that leads under the term it is given, for as long as it is let: ``bridge_node.py STORE FEED TERM``."""

import asyncio
import sys

from gateway.appender import Appender
from gateway.bridge import Bridge, Deposed
from gateway.feeds import open_feed
from skyhooks.store import open_async_store


async def main(store_url: str, feed_url: str, term: int) -> None:
    store = open_async_store(store_url)
    appender = Appender(store, lambda drafts, outcomes: None, count=256, size=1 << 25)
    bridge = Bridge("numbers", open_feed(feed_url), appender.append, store.head)
    try:
        await bridge.lead(term)
    except Deposed as error:
        print(f"deposed refusals={bridge.refusals} because {error}", flush=True)
    await appender.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
