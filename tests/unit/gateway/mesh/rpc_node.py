"""A node that answers questions, as a process of its own: `python rpc_node.py ENDPOINT`."""

import asyncio
import sys

from gateway.mesh.rpc import Rpc


async def main(endpoint: str) -> None:
    rpc = Rpc("other")
    asked: list[object] = []

    async def echo(payload: object) -> object:
        asked.append(payload)
        return payload

    async def count(_: object) -> int:
        return len(asked)

    rpc.handle("echo", echo)
    rpc.handle("count", count)
    await rpc.start(endpoint)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
