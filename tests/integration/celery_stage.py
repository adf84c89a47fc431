"""A stage for the Celery tests: a store, an embedded broker, gateways and workers, each a real process."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from celery import Celery
from celery.result import AsyncResult

from skyhooks import broker
from skyhooks.signature import make_secret
from skyhooks.store import open_store
from skyhooks.store.base import Store
from tests.integration import case_app
from tests.processes import Process, eventually

ROOT = Path(__file__).parents[2]
SECRET = make_secret(bytes(range(32)))
TASKS = "tests.integration.case_tasks"


class Stage:
    """One folder with a store and a broker in it, and the processes on them."""

    def __init__(self, folder: Path, stack: ExitStack, settings: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.store_url = f"sqlite://{folder / 'store.db'}"
        self.broker_url = f"file://{folder / 'broker'}"
        self.spool = folder / "spool"
        self.store: Store = open_store(self.store_url)
        self._stack = stack
        self.env = {
            "SKYHOOKS_STORE": self.store_url,
            "SKYHOOKS_CASE_BROKER": self.broker_url,
            "SKYHOOKS_SECRET": SECRET,
            "SKYHOOKS_SPOOL": str(self.spool),
            "XDG_STATE_HOME": str(folder / "state"),
            **(settings or {}),
        }
        self.app: Celery = case_app.make(self.broker_url)
        self.app.conf.update(skyhooks_store=self.store_url, skyhooks_secret=SECRET, skyhooks_spool=str(self.spool))

    def worker(self, pool: str, *options: str) -> Process:
        """Start a worker, with `options` of ``celery`` itself, and wait until it takes tasks."""
        count = 10 if pool == "gevent" else 2
        argv = [sys.executable, "-P", "-m", "celery", *options, "-A", "tests.integration.case_app", "worker"]
        argv += ["-P", pool, "-c", str(count), "-l", "INFO", "-n", f"{uuid4().hex[:8]}@test"]
        process = Process(argv, self.env, ROOT)
        self._stack.callback(process.close)
        process.wait_for(r"ready\.$")
        return process

    def gateway(self, *options: str) -> Process:
        """Start a gateway and wait until the registry has it."""
        known = len(self.store.leases("nodes/"))
        argv = [sys.executable, "-P", "-m", "gateway", "--listen", "127.0.0.1:0", "--store", self.store_url, *options]
        process = Process(argv, self.env, ROOT)
        self._stack.callback(process.close)
        process.wait_for("listening")
        eventually(lambda: len(self.store.leases("nodes/")) > known, what="the gateway's lease")
        return process

    def recover(self) -> broker.Recovered:
        """Queue again what dead workers had taken, as `workers.app` does by itself."""
        return broker.requeue_unfinished(self.broker_url, self.store)

    def send(self, name: str, *args: Any, account: object = None, **options: Any) -> AsyncResult:
        """Submit a task by its short name, with the account as an explicit header."""
        if account is not None:
            options["headers"] = {"skyhooks_account": account}
        return self.app.send_task(f"{TASKS}.{name}", args, **options)

    def signature(self, name: str, *args: Any, **options: Any) -> Any:
        """A signature of a task by its short name."""
        return self.app.signature(f"{TASKS}.{name}", args, app=self.app, **options)

    def events(self, channel: str) -> list[dict[str, Any]]:
        """Everything in a channel, with the publication's id as ``_id``."""
        page = self.store.read(channel, 0, 10_000, 1 << 30)
        return [{**msgspec.json.decode(one.data), "_id": one.id} for one in page.publications]

    def states(self, task_id: str) -> list[str]:
        """The states in a task's channel, in order."""
        return [event["state"] for event in self.events(f"tasks/{task_id}")]

    def end(self, task_id: str, within: float = 30.0) -> dict[str, Any]:
        """The end of a task, once it is there."""

        def ended() -> dict[str, Any] | None:
            return next((event for event in self.events(f"tasks/{task_id}") if event.get("end")), None)

        return eventually(ended, within, f"the end of {task_id}: {self.states(task_id)}") or {}

    def ends(self, account: str) -> dict[str, list[str]]:
        """The end states of an account, by task; more than one is a fault."""
        found: dict[str, list[str]] = {}
        for event in self.events(f"accounts/{account}"):
            if event.get("end"):
                found.setdefault(event["task_id"], []).append(event["state"])
        return found


@contextmanager
def opened(folder: Path, settings: dict[str, str] | None = None) -> Iterator[Stage]:
    """A stage whose processes are gone afterwards."""
    with ExitStack() as stack:
        stage = Stage(folder, stack, settings)
        try:
            yield stage
        finally:
            stage.app.close()


@pytest.fixture(scope="module", params=["gevent", "prefork"])
def pool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def stage(pool: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A gateway and a worker of this pool, shared by the tests of a module."""
    with opened(tmp_path_factory.mktemp(pool)) as made:
        made.gateway()
        made.worker(pool)
        yield made


@pytest.fixture
def account() -> str:
    """An account that nobody else uses."""
    return f"acct-{uuid4().hex[:12]}"
