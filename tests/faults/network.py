"""The wires of a cluster: a TCP proxy before each part, which can cut or slow what goes from one part to another.

A proxy knows who has connected by the process that holds the other end of the connection. A cut holds bytes back, as a
network does that loses every packet: neither side is told, and what TCP has taken arrives once the cut is healed.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.processes import free_ports

HOST: Final = "127.0.0.1"
CHUNK: Final = 64 * 1024
ANY: Final = "*"

Way = tuple[str, str]
"""From one part to another; `ANY` stands for each part."""


class Network:
    """Proxies on the running loop. `name_of` gives the part that a session (see setsid(2)) belongs to."""

    def __init__(self, name_of: Callable[[int], str]) -> None:
        self._name_of = name_of
        self._servers: list[asyncio.Server] = []
        self._pumps: set[asyncio.Task[None]] = set()
        self._cuts: dict[Way, int] = {}
        self._delays: dict[Way, float] = {}
        self._healed = asyncio.Event()
        self.carried = 0
        """Bytes."""

    async def open(self, target: str, port: int) -> int:
        """Stand before the part `target` that listens on `port`; the port under which others are to know it."""
        public = free_ports()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._connected(target, port, reader, writer)

        self._servers.append(await asyncio.start_server(serve, HOST, public))
        return public

    def cut(self, *ways: Way) -> None:
        """Let nothing pass these ways."""
        for way in ways:
            self._cuts[way] = self._cuts.get(way, 0) + 1

    def heal(self, *ways: Way) -> None:
        """Let pass again what `cut` has stopped."""
        for way in ways:
            self._cuts[way] -= 1
            if not self._cuts[way]:
                del self._cuts[way]
        self._healed.set()
        self._healed = asyncio.Event()

    def slow(self, way: Way, seconds: float) -> None:
        """Have each piece that goes this way wait; 0 ends it."""
        self._delays[way] = seconds

    async def close(self) -> None:
        """End every connection."""
        for server in self._servers:
            server.close()
        for pump in self._pumps:
            pump.cancel()
        while self._pumps:
            await asyncio.sleep(0.01)

    async def _connected(
        self, target: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        source = self._who(writer.get_extra_info("peername")[1])
        try:
            onward, there = await asyncio.open_connection(sock=await _dial(port), limit=CHUNK)
        except OSError:
            writer.transport.abort()
            return
        pumps = [
            asyncio.create_task(self._pump(reader, there, (source, target))),
            asyncio.create_task(self._pump(onward, writer, (target, source))),
        ]
        self._pumps.update(pumps)
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            # What has ended one way goes on the other way for as long as there may be something in it.
            await asyncio.wait(pumps, timeout=2)
        finally:
            for pump in pumps:
                pump.cancel()
            self._pumps.difference_update(pumps)
            writer.transport.abort()
            there.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
        with suppress(OSError):
            while piece := await reader.read(CHUNK):
                if delay := self._delay(way):
                    await asyncio.sleep(delay)
                while self._is_cut(way):
                    await self._healed.wait()
                writer.write(piece)
                self.carried += len(piece)
                await writer.drain()
            writer.write_eof()
            return
        # A connection that was reset is reset on the other side too.
        writer.transport.abort()

    def _is_cut(self, way: Way) -> bool:
        return bool(self._cuts) and any(one in self._cuts for one in _spellings(way))

    def _delay(self, way: Way) -> float:
        return max((self._delays.get(one, 0.0) for one in _spellings(way)), default=0.0) if self._delays else 0.0

    def _who(self, port: int) -> str:
        """The part whose process holds the loopback socket on `port`; empty for one that has gone already."""
        inode = _inode(port)
        for entry in os.scandir("/proc"):
            if entry.name.isdigit() and inode:
                with suppress(OSError):
                    name = self._name_of(os.getsid(int(entry.name)))
                    if name and _holds(int(entry.name), inode):
                        return name
        return ""


async def _dial(port: int) -> socket.socket:
    """A connection that takes in little ahead: what is cut is soon felt by who writes to it."""
    made = socket.socket()
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK)
    try:
        await asyncio.get_running_loop().sock_connect(made, (HOST, port))
    except BaseException:
        made.close()
        raise
    return made


def _spellings(way: Way) -> Iterable[Way]:
    source, target = way
    return (way, (ANY, target), (source, ANY))


def _inode(port: int) -> str:
    local = f"0100007F:{port:04X}"
    with Path("/proc/net/tcp").open() as table:
        for line in table:
            columns = line.split()
            if columns[1] == local and columns[9] != "0":
                return columns[9]
    return ""


def _holds(pid: int, inode: str) -> bool:
    wanted = f"socket:[{inode}]"
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        with suppress(OSError):
            if os.readlink(f"{folder}/{name}") == wanted:
                return True
    return False
