"""A whole cluster of real processes, with a wire between any two of them that can be cut: see `Network`."""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from skyhooks import brokers
from skyhooks.signature import make_secret
from tests.faults import app, bugs
from tests.faults.network import Network
from tests.faults.parts import HOST, Part, build
from tests.mongod import NAME, QUICK, SMALL, mongod
from tests.processes import free_ports
from tests.servers import rabbitmq

CLIENTS: Final = "clients"
"""Who is at the other end of a wire that no part holds: subscribers and senders, which the harness itself plays."""
SECRET: Final = make_secret(bytes(range(32)))
NUMBERS_A_MINUTE: Final = 600
SETTINGS: Final = {
    "lease_seconds": "3",
    "keepalive_seconds": "2",
    "slow_seconds": "10",
    "drain_seconds": "2",
    "durable": "numbers",
    "ring_count": "60",
}
"""Of each gateway, so that what matters happens within a short run."""
SILENCE: Final = 7.0
"""Seconds without a sign of life after which a subscriber looks for another gateway: more than three keepalives."""


class Cluster:
    """`nodes` gateways, two workers, a number server, a broker and a store, with all files in `folder`.

    `store` is ``sqlite`` (with the embedded broker) or ``mongodb`` (three members, with RabbitMQ). `bug` is planted in
    all gateways and workers; `settings` are further ones of the gateways.
    """

    def __init__(
        self, folder: Path, store: str, nodes: int = 5, bug: str = "", settings: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.kind = store
        self.network = Network(self._name_of)
        self.parts: dict[str, Part] = {}
        self.urls: dict[str, str] = {}
        """Where the gateways are, for everyone but themselves."""
        self._nodes = nodes
        self._settings = {**SETTINGS, **(settings or {})}
        self._env = {"SKYHOOKS_SECRET": SECRET, "XDG_STATE_HOME": str(folder / "state"), bugs.PLANTED: bug}

    def group(self, prefix: str) -> list[Part]:
        """The parts of one kind: ``gateway``, ``worker``, ``mongod``, ``numbers``, ``rabbitmq``."""
        return [part for name, part in self.parts.items() if name.startswith(prefix)]

    async def start(self) -> None:
        """Start everything, from the store up. Raises `AssertionError` for what does not come up in time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "hits").touch()
        if self.kind == "mongodb":
            await self._start_mongodb()
            await self._start_rabbitmq()
        else:
            self.store_url = f"sqlite://{self.folder / 'store.db'}"
            self.broker_url = f"file://{self.folder / 'broker'}"
        self._env |= {"SKYHOOKS_STORE": self.store_url, "FAULTS_BROKER": self.broker_url}
        # In a thread, because the wires are of this loop.
        await asyncio.to_thread(brokers.prepare, self.broker_url)
        self.app = app.make(self.broker_url)
        await self._start_numbers()
        for number in range(self._nodes):
            await self._start_gateway(f"gateway-{number}")
        for pool, count in (("gevent", "20"), ("prefork", "2")):
            argv = build("worker", "-A", "tests.faults.app", "worker", "-P", pool, "-c", count, "-n", f"{pool}@faults")
            env = {"SKYHOOKS_SPOOL": str(self.folder / f"spool-{pool}"), "SKYHOOKS_DEADLINE": "20"}
            self._add(Part(f"worker-{pool}", [*argv, "-l", "INFO"], self.folder, {**self._env, **env})).start()
        await self._all_ready(self.group("gateway"))

    async def close(self) -> None:
        """End everything."""
        for part in self.parts.values():
            part.resume()
            part.kill()
        if hasattr(self, "app"):
            await asyncio.to_thread(self.app.close)
        await self.network.close()

    async def ready(self, part: Part, within: float = 60.0) -> None:
        """Wait until a part can be connected to."""
        await until(lambda: part.ready, within, f"{part.name} is ready; see {part.log}")

    def primary(self) -> Part | None:
        """The member of the replica set that takes writes, as far as anyone can tell."""
        for part in self.group("mongod"):
            with suppress(PyMongoError), _client(part.port) as client:
                if part.alive and not part.paused and client.admin.command("hello").get("isWritablePrimary"):
                    return part
        return None

    def _name_of(self, session: int) -> str:
        if session == os.getsid(0):
            return CLIENTS
        return next((part.name for part in self.parts.values() if part.pid == session), "")

    def _add(self, part: Part) -> Part:
        self.parts[part.name] = part
        return part

    async def _all_ready(self, parts: list[Part]) -> None:
        for part in parts:
            await self.ready(part)

    async def _start_mongodb(self) -> None:
        hosts = []
        for number in range(3):
            name, port = f"mongod-{number}", free_ports()
            data = self.folder / name
            data.mkdir()
            argv = [mongod(), f"--dbpath={data}", f"--port={port}", f"--bind_ip={HOST}", f"--replSet={NAME}"]
            self._add(Part(name, [*argv, f"--unixSocketPrefix={data}", *SMALL], self.folder, port=port)).start()
            hosts.append(f"{HOST}:{await self.network.open(name, port)}")
        members = self.group("mongod")
        await self._all_ready(members)
        config: dict[str, Any] = {"_id": NAME, "settings": QUICK}
        config["members"] = [{"_id": number, "host": host} for number, host in enumerate(hosts)]
        await asyncio.to_thread(_initiate, members[0].port, config)
        await until_thread(self.primary, 30, "a primary")
        # Three times the election: what waits longer is lost, and is to be asked of another member.
        waits = "serverSelectionTimeoutMS=3000&timeoutMS=5000&connectTimeoutMS=2000"
        self.store_url = f"mongodb://{','.join(hosts)}/faults?replicaSet={NAME}&{waits}"

    async def _start_rabbitmq(self) -> None:
        mapper = free_ports()
        argv = ["epmd", "-port", str(mapper), "-address", HOST]
        await self.ready(self._started(Part("epmd", argv, self.folder, port=mapper)))
        port, folder = free_ports(2), self.folder / "rabbitmq"
        env = rabbitmq.environment(folder, port, mapper)
        node = self._started(Part("rabbitmq", [str(rabbitmq.SERVER)], self.folder, env, port))
        await self.ready(node, rabbitmq.BOOT)
        self.broker_url = f"amqp://guest:guest@{HOST}:{await self.network.open('rabbitmq', port)}//"

    async def _start_numbers(self) -> None:
        port = free_ports()
        where = ["--listen", f"{HOST}:{port}", "--rate-per-minute", str(NUMBERS_A_MINUTE)]
        argv = [sys.executable, "-P", "-m", "workers.numbers", *where]
        await self.ready(self._started(Part("numbers", argv, self.folder, port=port)))
        self._feed = f"numbers=numbers://{HOST}:{await self.network.open('numbers', port)}"

    async def _start_gateway(self, name: str) -> None:
        port, mesh = free_ports(), free_ports(3)
        public, wire = await self.network.open(name, port), await self.network.open(name, mesh)
        self.urls[name] = f"http://{HOST}:{public}"
        settings = {
            **self._settings,
            "listen": f"{HOST}:{port}",
            "public_url": self.urls[name],
            "node_id": name,
            "mesh": f"tcp://{HOST}:{mesh}",
            "bridges": self._feed,
        }
        options = [text for item in settings.items() for text in ("-X", "=".join(item))]
        conf, pids = Path(__file__).parent / "gateway.conf.py", self.folder / f"{name}.pid"
        argv = build("gateway", "run", str(conf), "--pid-file", str(pids), *options)
        self._started(Part(name, argv, self.folder, {**self._env, "FAULTS_MESH": f"{mesh}:{wire}"}, port))

    def _started(self, part: Part) -> Part:
        self._add(part).start()
        return part


async def until(condition: Callable[[], object], within: float, what: str) -> None:
    """Wait for a condition. Raises `AssertionError` when it does not come true in time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not condition():
        if loop.time() > deadline:
            raise AssertionError(f"not within {within:g} s: {what}")
        await asyncio.sleep(0.05)


async def until_thread(condition: Callable[[], object], within: float, what: str) -> None:
    """The same for a condition that blocks."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not await asyncio.to_thread(condition):
        if loop.time() > deadline:
            raise AssertionError(f"not within {within:g} s: {what}")
        await asyncio.sleep(0.2)


def _client(port: int) -> MongoClient[dict[str, Any]]:
    return MongoClient(f"mongodb://{HOST}:{port}/?directConnection=true", serverSelectionTimeoutMS=500, timeoutMS=1000)


def _initiate(port: int, config: dict[str, Any]) -> None:
    with MongoClient[dict[str, Any]](f"mongodb://{HOST}:{port}/?directConnection=true") as client:
        client.admin.command("replSetInitiate", config)
