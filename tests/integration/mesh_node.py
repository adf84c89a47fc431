"""A node of a mesh as a process: `mesh_node.py NAME BIND [FORWARDER]`, with keys from the folder `MESH_KEYS`.

Says its member as JSON and each frame that it hears on a line; obeys lines of JSON on standard input.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import msgspec

from gateway.cluster.roster import Member
from gateway.mesh.frames import Frame
from gateway.mesh.security import Security, read_keys
from gateway.mesh.transport import Mesh, MeshOptions
from skyhooks.publication import Publication


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def heard(frame: Frame) -> None:
    offsets = [one.offset for one in frame.publications]
    say(heard=frame.channel, by=frame.node, epoch=frame.epoch, offsets=offsets, head=frame.head)


async def main(name: str, bind: str, forwarder: str = "") -> None:
    folder = os.environ.get("MESH_KEYS")
    security = Security(read_keys(Path(folder, f"{name}.key")), Path(folder, "allowed")) if folder else None
    options = MeshOptions(bind=bind, forwarder=forwarder)
    mesh = Mesh(options, heard, node=name, security=security)
    await mesh.start()
    key = security.keys.public if security else ""
    say(member=msgspec.to_builtins(Member(name, "http://x", mesh=mesh.endpoint, key=key, incarnation=f"{os.getpid()}")))
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        verb, argument = json.loads(line)
        if verb == "follow":
            mesh.follow(msgspec.convert(argument, dict[str, Member]))
        elif verb == "subscribe":
            mesh.subscribe(argument)
        elif verb == "publish":
            channel, epoch, first, count = argument
            for offset in range(first, first + count):
                mesh.publish(channel, epoch, (Publication(f"{name}-{offset}", offset, b"{}"),))
        elif verb == "stats":
            say(stats=msgspec.to_builtins(mesh.stats()))
    await mesh.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
