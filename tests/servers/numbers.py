"""A real number server for tests, and what one can ask it."""

import json
import socket
import sys
from typing import Any

from tests.conftest import Spawn
from tests.processes import Process

HOST = "127.0.0.1"


class Numbers:
    """A process that serves numbers."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.port = int(process.wait_for(rf"numbers={HOST}:(\d+)")[1])

    def connect(self) -> socket.socket:
        return socket.create_connection((HOST, self.port), timeout=20)

    def say(self, text: bytes) -> bytes:
        """Everything that comes back until the server hangs up."""
        with self.connect() as client:
            client.sendall(text)
            return b"".join(iter(lambda: client.recv(4096), b""))

    def status(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.say(b"status\n"))
        return said


def serve(spawn: Spawn, rate: float = 6000, port: int = 0) -> Numbers:
    """``skyhooks numbers`` on a free port, or on the one of an earlier server that has ended."""
    where = ["--listen", f"{HOST}:{port}", "--rate-per-minute", str(rate)]
    return Numbers(spawn([sys.executable, "-P", "-m", "workers.numbers", *where]))
