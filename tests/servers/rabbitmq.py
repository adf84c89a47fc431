"""A real RabbitMQ for tests, with the configuration that we ship: its own name, folders, ports and port mapper."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.processes import Process, descendants, eventually, free_ports

SERVER: Final = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The wrapper in /usr/sbin would change the user, who could not write into our folders."""
CONFIGURATION: Final = Path(__file__).parents[2] / "deploy" / "conf" / "rabbitmq.conf"
BOOT: Final = 60.0


class RabbitMQ:
    """A node that can be killed and started again on what it has on the disk."""

    def __init__(self, folder: Path, epmd_port: int) -> None:
        self.port = free_ports(2)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self._env = environment(folder, self.port, epmd_port)
        self._process = self._boot()

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        self._process.close()

    def restart(self) -> None:
        """Start it again, after `kill`."""
        self._process = self._boot()

    def pause(self) -> None:
        """Stop the whole node without closing a connection."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in descendants(self._process.pid):
            os.kill(pid, number)

    def _boot(self) -> Process:
        process = Process([str(SERVER)], self._env)
        try:
            process.wait_for("Server startup complete", BOOT)
        except BaseException:
            process.close()
            raise
        return process


def environment(folder: Path, port: int, epmd_port: int) -> dict[str, str]:
    """What makes `SERVER` a node of its own on `port` and the next one, with its files in `folder`, which is made."""
    for name in ("home", "log"):
        (folder / name).mkdir(parents=True)
    (folder / "plugins").write_text("[].")
    return {
        "HOME": str(folder / "home"),
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"skyhooks-{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(port + 1),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": str(CONFIGURATION),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }


@contextmanager
def rabbitmq(folder: Path) -> Iterator[RabbitMQ]:
    """A node with its files in `folder`; nothing of it is left at the end."""
    assert SERVER.exists(), "there is no RabbitMQ: install the Debian package rabbitmq-server"
    port = free_ports()
    # RabbitMQ would start one that outlives it; this one finds its place taken and is ours to end.
    mapper = Process(["epmd", "-port", str(port), "-address", "127.0.0.1"])
    try:
        eventually(lambda: _listens(port), what="the port mapper epmd")
        node = RabbitMQ(folder, port)
        try:
            yield node
        finally:
            node.kill()
    finally:
        mapper.close()


def _listens(port: int) -> bool:
    return any(f"0100007F:{port:04X} 00000000:0000 0A" in line for line in Path("/proc/net/tcp").open())
