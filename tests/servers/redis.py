"""A real Redis for tests, with the configuration that we ship."""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.processes import Process, eventually, free_ports

CONFIGURATION: Final = Path(__file__).parents[2] / "deploy" / "conf" / "redis.conf"


class Redis:
    """A server that can be killed and started again; what it had is in its files, if it keeps any."""

    def __init__(self, folder: Path, keep: bool) -> None:
        program = shutil.which("redis-server")
        assert program is not None, "there is no Redis: install the Debian package redis-server"
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_ports()
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        self._argv = [program, str(CONFIGURATION), *options, "--appendonly", "yes" if keep else "no"]
        self._process = self._boot()

    def url(self, database: int = 0) -> str:
        """The URL of one of its 16 databases."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    def kill(self) -> None:
        """Kill it."""
        self._process.close()

    def restart(self) -> None:
        """Start it again, after `kill`."""
        self._process = self._boot()

    def _boot(self) -> Process:
        process = Process(self._argv)
        try:
            process.wait_for("Ready to accept connections")
            eventually(self._answers, what="an answer of Redis")
        except BaseException:
            process.close()
            raise
        return process

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


@contextmanager
def redis(folder: Path, keep: bool = False) -> Iterator[Redis]:
    """A server with its files in `folder`, killed at the end. With `keep` it has its data again after `restart`."""
    server = Redis(folder, keep)
    try:
        yield server
    finally:
        server.kill()
