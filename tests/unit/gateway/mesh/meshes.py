"""Nodes of a mesh in one process, each with what it has heard."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from gateway.cluster.roster import Member
from gateway.mesh.frames import Frame
from gateway.mesh.security import Security
from gateway.mesh.socket import SocketOptions
from gateway.mesh.transport import Mesh, MeshOptions
from skyhooks.publication import Publication

QUICK = SocketOptions(retry_seconds=0.02, linger_seconds=0.2)


async def until(condition: Callable[[], object], within: float = 10.0) -> None:
    """Wait until `condition` holds, and fail when it does not in time."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)


def publication(offset: int, data: bytes = b"1") -> Publication:
    return Publication(f"p{offset}", offset, data)


class Node:
    """A mesh and the frames that it received."""

    def __init__(self, name: str, options: MeshOptions, security: Security | None = None) -> None:
        self.heard: list[Frame] = []
        self.mesh = Mesh(options, self.heard.append, node=name, security=security)

    @property
    def offsets(self) -> list[int]:
        return [one.offset for frame in self.heard for one in frame.publications]

    def member(self, **changes: str) -> Member:
        key = self.mesh._security.keys.public if self.mesh._security else ""
        fields = {"id": self.mesh.node, "url": "http://x", "mesh": self.mesh.endpoint, "key": key}
        return Member(**{**fields, "incarnation": "1", **changes})

    async def hears(self, other: "Node", channel: str = "numbers") -> None:
        """Wait until what `other` publishes to `channel` arrives here, and nothing of the trial is under way."""
        self.mesh.subscribe(channel)
        async with asyncio.timeout(10):
            while not self._heard("trial", other):
                other.mesh.publish(channel, "trial", (publication(1),))
                await asyncio.sleep(0.01)
            # One connection keeps the order, so nothing comes behind this.
            other.mesh.publish(channel, "end", (publication(1),))
            while not self._heard("end", other):
                await asyncio.sleep(0.005)
        self.heard[:] = [frame for frame in self.heard if frame.epoch not in ("trial", "end")]

    def _heard(self, epoch: str, other: "Node") -> bool:
        return any(frame.epoch == epoch and frame.node == other.mesh.node for frame in self.heard)


class Nodes:
    """Nodes over `ipc` in a folder, or over `tcp` on loopback."""

    def __init__(self, folder: Path, transport: str = "ipc") -> None:
        self.folder = folder
        self.transport = transport
        self.nodes: list[Node] = []

    def bind(self, name: str) -> str:
        return f"ipc://{self.folder}/{name}.pub" if self.transport == "ipc" else "tcp://127.0.0.1:0"

    async def start(self, name: str, security: Security | None = None, **options: object) -> Node:
        fields = {"bind": self.bind(name), "socket": QUICK, **options}
        node = Node(name, MeshOptions(**fields), security)  # type: ignore[arg-type]
        await node.mesh.start()
        self.nodes.append(node)
        return node

    def meet(self, *nodes: Node) -> None:
        """Everybody in `nodes`, or all, follows a roster of all of them."""
        met = nodes or tuple(self.nodes)
        for node in met:
            node.mesh.follow({one.mesh.node: one.member() for one in met})

    async def stop(self) -> None:
        for node in self.nodes:
            await node.mesh.stop()
