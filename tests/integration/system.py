"""A small system of real processes for integration tests: gateways and a worker on one store and one broker."""

import http.client
import json
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from celery import Celery

from skyhooks import broker
from skyhooks.gateways import ranked
from skyhooks.registry import Registry
from skyhooks.store import open_store
from tests.processes import Process, eventually, free_ports


class System:
    """`gateways` nodes, named g0, g1, …, and one worker of the demo's tasks, which runs `concurrency` at a time."""

    def __init__(
        self, folder: Path, pool: str = "gevent", gateways: int = 2, store_url: str = "", concurrency: int = 4
    ) -> None:
        self.folder = folder
        self.file = folder / "s.db"
        self.store_url = store_url or f"sqlite://{self.file}"
        self.broker_url = f"file://{folder / 'broker'}"
        self.environ = {
            "SKYHOOKS_STORE": self.store_url,
            "SKYHOOKS_BROKER": self.broker_url,
            "SKYHOOKS_SPOOL": str(folder / "spool"),
        }
        self.app = Celery("client")
        broker.configure(self.app, self.broker_url)
        self._first = free_ports(gateways)
        self.urls = {f"g{number}": f"http://127.0.0.1:{self._first + number}" for number in range(gateways)}
        self.gateways: dict[str, Process] = {}
        self._pool = pool
        self._concurrency = concurrency
        self._stack = ExitStack()

    def start(self) -> None:
        for name in self.urls:
            self.start_gateway(name)
        options = ["-P", self._pool, "-c", str(self._concurrency), "--loglevel", "INFO"]
        command = [sys.executable, "-P", "-m", "celery", "-A", "workers.app", "worker", *options]
        self.worker = Process(command, self.environ)
        self._stack.callback(self.worker.close)
        self.worker.wait_for(" ready")

    def start_gateway(self, name: str) -> None:
        listen = self.urls[name].removeprefix("http://")
        options = [
            "--listen",
            listen,
            "--open",
            "--node-id",
            name,
            "--broker",
            self.broker_url,
            "-X",
            "lease_seconds=2",
        ]
        process = Process([sys.executable, "-P", "-m", "gateway", *options], self.environ)
        self._stack.callback(process.close)
        process.wait_for("listening ")
        self.gateways[name] = process
        registry = Registry(open_store(self.store_url))
        eventually(lambda: name in {node.id for node in registry.nodes()}, what=f"{name} is registered")

    def close(self) -> None:
        self._stack.close()

    def account_of(self, gateway: str) -> str:
        """An account whose results workers take to `gateway` first, when all have subscribers of it."""
        return next(name for n in range(1000) if ranked(name := f"a{n}", self.urls)[0] == gateway)

    def submit(self, task: str, *args: Any, account: str = "demo", **options: Any) -> str:
        return self.app.send_task(f"workers.tasks.{task}", args, headers={"skyhooks_account": account}, **options).id

    def store_of(self) -> Any:
        return open_store(self.store_url)

    def subscribe(self, gateway: str, channel: str, since: str = "") -> "Watcher":
        watcher = Watcher(self.urls[gateway], channel, since)
        self._stack.callback(watcher.close)
        watcher.ready.wait(10)
        return watcher


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[System]:
    system = System(folder, **options)
    try:
        system.start()
        yield system
    finally:
        system.close()


class Watcher:
    """A newline stream, read in a thread without reconnecting: what one connection was shown, in order."""

    def __init__(self, url: str, channel: str, since: str) -> None:
        self.shown: list[dict[str, Any]] = []
        self.ready = threading.Event()
        connection = http.client.HTTPConnection(url.removeprefix("http://"))
        connection.request("GET", f"/channels/{channel}" + (f"?since={since}" if since else ""))
        assert connection.sock is not None
        self._socket = connection.sock
        self._response = connection.getresponse()
        assert self._response.status == 200, self._response.read()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def events(self) -> list[dict[str, Any]]:
        """The data of what was shown, notices aside."""
        return [line["data"] for line in self.shown if "data" in line]

    @property
    def ends(self) -> list[dict[str, Any]]:
        """The events that end a task."""
        return [event for event in self.events if event.get("end")]

    def assert_complete(self, submitted: Sequence[str]) -> None:
        """The end of each submitted task once, every offset once and in order, and no gap."""
        assert Counter(event["task_id"] for event in self.ends) == Counter(submitted)
        offsets = [int(line["position"].rpartition("-")[2]) for line in self.shown if "data" in line]
        assert offsets == list(range(1, len(self.events) + 1))
        assert not [line for line in self.shown if "gap" in line]

    def close(self) -> None:
        # The thread that reads is woken by the end of the connection.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._response.close()

    def _read(self) -> None:
        with suppress(OSError, http.client.HTTPException):
            for line in self._response:
                if line.strip():
                    self.shown.append(json.loads(line))
                    self.ready.set()
