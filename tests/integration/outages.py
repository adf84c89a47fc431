"""Servers that go away and come back, under a steady load of tasks."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from kombu.exceptions import KombuError

from tests.integration.pool_stage import PoolStage, opened
from tests.mongod import ReplicaSet
from tests.processes import Process, eventually
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis

RATE = 50
"""Tasks a second."""
SETTLED = 10
"""Seconds after which a queue of RabbitMQ survives that its node is killed; before, it may come back without a leader
(rabbitmq-server#10070)."""
LONGEST = 6
"""Seconds after which Redis gives a task that was not acknowledged to another worker; all tasks here are short."""


class World:
    """Two gateways and a worker on a store and a broker, each of which can be taken away."""

    def __init__(
        self, folder: Path, store: ReplicaSet, broker: RabbitMQ | Redis, pool: str, deadline: float, stack: ExitStack
    ) -> None:
        self._stack = stack
        self.store = store
        self.broker = broker
        url = broker.url if isinstance(broker, RabbitMQ) else broker.url()
        # So that within an outage of seconds calls fail, are made again, and results are spooled.
        store_url = store.url("outages", serverSelectionTimeoutMS=500, timeoutMS=2000)
        settings = {"SKYHOOKS_CASE_LONGEST": str(LONGEST), "SKYHOOKS_DEADLINE": str(deadline)}
        self.stage: PoolStage = stack.enter_context(opened(folder, store_url, url, settings))
        self.gateways = [self.stage.gateway(), self.stage.gateway()]
        self.pool = pool
        self.worker = self.stage.worker(pool)
        self._made = time.monotonic()

    @contextmanager
    def without(self, what: str) -> Iterator[None]:
        """Take something away, and give it back at the end."""
        with ExitStack() as stack:
            for part in ("gateways", "store") if what == "both" else (what,):
                stack.enter_context(getattr(self, f"_without_{part}")())
            yield

    @contextmanager
    def _without_gateways(self) -> Iterator[None]:
        for gateway in self.gateways:
            gateway.close()
        yield
        self.gateways = [self.stage.gateway(), self.stage.gateway()]

    @contextmanager
    def _without_store(self) -> Iterator[None]:
        port, process = next(iter(self.store.members.items()))
        argv = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode().split("\0")[:-1]
        process.close()
        yield
        self.store.members[port] = Process(argv)
        with self.store.client() as client:
            eventually(lambda: client.is_primary, what="a primary")

    @contextmanager
    def _without_broker(self) -> Iterator[None]:
        time.sleep(max(0.0, self._made + SETTLED - time.monotonic()))
        self.broker.kill()
        yield
        self.broker.restart()

    @contextmanager
    def _without_answers(self) -> Iterator[None]:
        """Gateways and store take connections, and never say a word."""
        stopped = [*self.gateways, *self.store.members.values()]
        for process in stopped:
            process.signal(signal.SIGSTOP)
        yield
        for process in stopped:
            process.signal(signal.SIGCONT)


@contextmanager
def world(folder: Path, store: ReplicaSet, broker: RabbitMQ | Redis, pool: str, deadline: float) -> Iterator[World]:
    """A world whose processes are gone afterwards; store and broker stay.

    A result that cannot be delivered is spooled after `deadline` seconds.
    """
    with ExitStack() as stack:
        yield World(folder, store, broker, pool, deadline, stack)


class Load:
    """Submits tasks at a steady rate, of which every fifth one fails, until it is told to stop."""

    def __init__(self, stage: PoolStage) -> None:
        self.account = f"load-{uuid4().hex[:8]}"
        self.taken: list[str] = []
        """The tasks that the broker has confirmed."""
        self.unknown: list[str] = []
        """Those of which nobody can tell whether the broker has them."""
        self._stage = stage
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def ends(self) -> dict[str, list[str]]:
        """The end states of the tasks, as the account's channel has them."""
        return self._stage.ends(self.account)

    def _run(self) -> None:
        began, number = time.monotonic(), 0
        while not self._stopped.wait(max(0.0, began + number / RATE - time.monotonic())):
            number += 1
            task_id = f"{self.account}-{number}"
            name, args = ("boom", ()) if number % 5 == 0 else ("ok", (number,))
            try:
                self._stage.send(name, *args, account=self.account, task_id=task_id, retry=False)
            except (KombuError, OSError):
                self.unknown.append(task_id)
            else:
                self.taken.append(task_id)
