"""One of several nodes that only know and ask each other, as a process: `census_node.py FOLDER LEADER NAME NAMES…`."""

import asyncio
import sys
from pathlib import Path

from gateway.cluster.roster import Member, Roster
from skyhooks.store.memory import MemoryStore
from tests.unit.gateway.cluster.stations import Station, served


async def main(folder: str, leader: str, name: str, *names: str) -> None:
    station = Station(name, MemoryStore(), 1.0)
    await station.start(Path(folder))
    members = {one: Member(one, f"http://{one}", rpc=f"ipc://{folder}/{one}.rpc") for one in names}
    station.roster = Roster(members, leader, 7)
    station.subscribers = {"numbers": 10 ** names.index(name)}
    async with served(station) as port:
        print(f"serving at {port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
