"""Notices connections that ZeroMQ has given up.

ZeroMQ tries a lost connection again by itself, except after a fault in the protocol: a part over the limit, bytes that
are no ZMTP, a key that was denied. Then it drops the connection for good and says nothing. Here the events of a socket
are read (zmq_socket_monitor(3)); an end that no new attempt follows is such a connection.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Final

import zmq

from gateway.mesh.socket import LoopSocket

_TRIED: Final = zmq.EVENT_CONNECTED | zmq.EVENT_CONNECT_DELAYED | zmq.EVENT_CONNECT_RETRIED
_HEAD: Final = struct.Struct("=hi")


class Watch:
    """Calls `given_up` with the endpoint of a connection of `socket` that nobody has tried again for `seconds`.

    An endpoint with a host's name may be reported though it is tried again (ZeroMQ then calls it by its address);
    connecting anew does no harm. Set it up before the socket connects to anything, and close it before the socket.
    """

    def __init__(self, socket: LoopSocket, seconds: float, given_up: Callable[[str], None]) -> None:
        self._socket = socket
        self._seconds = seconds
        self._given_up = given_up
        self._loop = asyncio.get_running_loop()
        self._ended: dict[str, asyncio.TimerHandle] = {}
        address = f"inproc://watch-{id(self)}"
        socket.raw.monitor(address, _TRIED | zmq.EVENT_DISCONNECTED)
        self._events = LoopSocket(socket.raw.context, zmq.PAIR, self._happened)
        self._events.connect(address)

    def close(self) -> None:
        """Stop watching."""
        for timer in self._ended.values():
            timer.cancel()
        self._ended.clear()
        if not self._socket.raw.closed:
            self._socket.raw.disable_monitor()
        self._events.close(0)

    def _happened(self, parts: list[bytes]) -> None:
        event, _ = _HEAD.unpack(parts[0])
        endpoint = parts[1].decode()
        if timer := self._ended.pop(endpoint, None):
            timer.cancel()
        if event == zmq.EVENT_DISCONNECTED:
            self._ended[endpoint] = self._loop.call_later(self._seconds, self._expired, endpoint)

    def _expired(self, endpoint: str) -> None:
        del self._ended[endpoint]
        self._given_up(endpoint)
