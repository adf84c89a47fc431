"""Whether a client that is behind still takes anything.

Created when a transport first holds bytes that the socket did not take, dropped once it holds none. What leaves the
kernel's own buffer counts too: behind a slow link a full socket may move for minutes before the transport's buffer
does.
"""

import asyncio
import fcntl
import socket
import struct
import termios
from typing import cast

LOOKS = 4
"""How often a connection that is behind is looked at within the slow limit."""

NO_DESCRIPTOR = -1


def descriptor(transport: asyncio.Transport) -> int:
    """The descriptor that may be written to beside `transport`, or `NO_DESCRIPTOR` under TLS."""
    if transport.get_extra_info("ssl_object") is not None:
        return NO_DESCRIPTOR
    return cast(int, transport.get_extra_info("socket").fileno())


def unsent_bytes(fd: int) -> int:
    """Bytes that the kernel holds for the socket `fd` and the other side has not acknowledged (SIOCOUTQ, tcp(7))."""
    if fd == NO_DESCRIPTOR:
        return 0
    try:
        return int(struct.unpack("i", fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4)))[0])
    except OSError:
        return 0


def drop_unsent(transport: asyncio.Transport) -> None:
    """Have the kernel forget what it could not send once the connection is closed, and tell the other side at once.

    Otherwise it keeps all of it, for a client that does not read, until its own patience ends (SO_LINGER, socket(7)).
    """
    if transport.get_write_buffer_size() + unsent_bytes(descriptor(transport)) == 0:
        return  # it has all of it, the reason for its end included
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Progress:
    """Watches what waits on one connection."""

    __slots__ = ("_since", "_waiting")

    def __init__(self, now: float) -> None:
        self._since = now
        self._waiting: int | None = None

    def look(self, transport: asyncio.Transport, fd: int, now: float) -> float:
        """For how many seconds nothing has left."""
        before, self._waiting = self._waiting, transport.get_write_buffer_size() + unsent_bytes(fd)
        if before is None or self._waiting < before:
            self._since = now
        return now - self._since


def report_every_byte(transport: asyncio.Transport) -> None:
    """Have `transport` call `pause_writing` as soon as its buffer holds anything, and `resume_writing` once it is
    empty.

    The TLS transports compare with "at least" where the plain ones say "more than", and would pause for good at 0.
    """
    secure = transport.get_extra_info("ssl_object") is not None
    transport.set_write_buffer_limits(high=1 if secure else 0, low=0)
