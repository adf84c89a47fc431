"""A node that only collects for the journal, as a process: `journal_node.py ENDPOINT STORE_URL [KEY_FILE ALLOWED]`."""

import asyncio
import sys
from pathlib import Path

import zmq

from gateway.mesh.journal import Collector
from gateway.mesh.security import Security, read_keys
from skyhooks.store import open_async_store


async def main(endpoint: str, store_url: str, *keys: str) -> None:
    security = Security(read_keys(Path(keys[0])), Path(keys[1])) if keys else None
    collector = Collector(open_async_store(store_url), security, context=zmq.Context(), age=3600.0, pause=0.05)
    collector.start(endpoint)
    print(f"collecting at {collector.endpoint}", flush=True)
    await collector.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
