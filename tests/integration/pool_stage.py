"""A stage on production parts: the store and the broker are servers, gateways and workers are processes."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from celery.result import AsyncResult

from skyhooks import brokers
from skyhooks.store import open_store
from tests.integration import pool_app
from tests.integration.celery_stage import ROOT, SECRET, Stage
from tests.processes import Process, eventually

SIZES = {"gevent": 100, "prefork": 4, "threads": 8, "solo": 1}
"""How many tasks a worker of each pool runs at a time."""


class PoolStage(Stage):
    """A stage with a store and a broker that are there already."""

    def __init__(
        self, folder: Path, stack: ExitStack, store_url: str, broker_url: str, settings: dict[str, str]
    ) -> None:
        self.folder = folder
        self.store_url = store_url
        self.broker_url = broker_url
        self.spool = folder / "spool"
        self.store = open_store(store_url)
        self._stack = stack
        self.env = {
            "SKYHOOKS_STORE": store_url,
            "SKYHOOKS_CASE_BROKER": broker_url,
            "SKYHOOKS_CASE_QUEUE": f"q-{uuid4().hex[:8]}",
            "SKYHOOKS_SECRET": SECRET,
            "SKYHOOKS_SPOOL": str(self.spool),
            "XDG_STATE_HOME": str(folder / "state"),
            **settings,
        }
        brokers.prepare(broker_url)
        self.app = pool_app.make(self.env)
        self.app.conf.update(skyhooks_store=store_url, skyhooks_secret=SECRET, skyhooks_spool=str(self.spool))

    def worker(self, pool: str, *options: str) -> Process:
        """Start a worker, with `options` of ``celery worker``, and wait until it takes tasks."""
        argv = [*self._celery("worker"), "-P", pool, "-c", str(SIZES[pool]), "-l", "INFO"]
        process = Process([*argv, "-n", f"{uuid4().hex[:8]}@test", *options], self.env, ROOT)
        self._stack.callback(process.close)
        process.wait_for(r"ready\.$")
        return process

    def gateway(self) -> Process:
        """Start a gateway and wait until the registry has it."""
        node = uuid4().hex[:8]
        options = ["--listen", "127.0.0.1:0", "--store", self.store_url, "--node-id", node]
        process = Process([sys.executable, "-P", "-m", "gateway", *options], self.env, ROOT)
        self._stack.callback(process.close)
        process.wait_for("listening")
        eventually(
            lambda: any(lease.name == f"nodes/{node}" for lease in self.store.leases("nodes/")), what="its lease"
        )
        return process

    def beat(self, account: str) -> Process:
        """Start beat, which submits tasks for an account."""
        argv = [*self._celery("beat"), "-s", str(self.folder / "beat"), "-l", "INFO"]
        process = Process(argv, {**self.env, "SKYHOOKS_CASE_BEAT": account}, ROOT)
        self._stack.callback(process.close)
        return process

    def call(self, name: str, *args: Any, account: object = None, **options: Any) -> AsyncResult:
        """Like `send`, for a task of `pool_tasks`."""
        if account is not None:
            options["headers"] = {"skyhooks_account": account}
        return self.app.send_task(f"tests.integration.pool_tasks.{name}", args, **options)

    def _celery(self, command: str) -> list[str]:
        return [sys.executable, "-P", "-m", "celery", "-A", "tests.integration.pool_app", command]


@contextmanager
def opened(
    folder: Path, store_url: str, broker_url: str, settings: dict[str, str] | None = None
) -> Iterator[PoolStage]:
    """A stage whose processes are gone afterwards."""
    with ExitStack() as stack:
        stage = PoolStage(folder, stack, store_url, broker_url, settings or {})
        try:
            yield stage
        finally:
            stage.app.close()
            stage.store.close()
