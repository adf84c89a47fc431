import asyncio
import socket
from typing import cast

import pytest

from gateway.edge.progress import NO_DESCRIPTOR, Progress, drop_unsent, unsent_bytes


class Waiting:
    """A transport of which only the size of its buffer is asked."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = list(sizes)

    def get_write_buffer_size(self) -> int:
        return self.sizes.pop(0)


@pytest.mark.parametrize(
    ("sizes", "still"),
    [
        ([9, 9, 9, 9], [0.0, 1.0, 2.0, 3.0]),
        ([9, 8, 8, 7], [0.0, 0.0, 1.0, 0.0]),
        ([9, 20, 20, 19], [0.0, 1.0, 2.0, 0.0]),  # more to send is no progress
    ],
)
def test_only_what_leaves_is_progress(sizes: list[int], still: list[float]) -> None:
    transport, progress = Waiting(*sizes), Progress(0.0)
    looks = [progress.look(transport, NO_DESCRIPTOR, 10.0 + second) for second in range(len(sizes))]  # type: ignore[arg-type]
    assert looks == still


def test_what_the_kernel_holds_counts_until_the_other_side_takes_it() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert unsent_bytes(ours.fileno()) == 0
        ours.send(b"x" * 1000)
        assert unsent_bytes(ours.fileno()) >= 1000
        theirs.recv(1000)
        assert unsent_bytes(ours.fileno()) == 0


def test_what_is_no_socket_holds_nothing() -> None:
    assert unsent_bytes(NO_DESCRIPTOR) == 0
    assert unsent_bytes(1_000_000) == 0


async def test_what_was_not_sent_is_dropped_with_its_connection() -> None:
    loop = asyncio.get_running_loop()
    transports: list[asyncio.Transport] = []

    class Kept(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made = cast(asyncio.Transport, transport)  # uvloop's are none by their class
            transports.append(made)
            made.write(b"x" * 10_000_000)

    server = await loop.create_server(Kept, "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname(), 5) as client:
        while not transports:
            await asyncio.sleep(0.01)
        drop_unsent(transports[0])
        transports[0].abort()

        def read_all() -> None:
            while client.recv(100_000):
                pass

        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(read_all)
    server.close()
