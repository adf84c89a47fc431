"""The example applications, each a real process: a callback hears the results of its account once, in order."""

import json
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import requests

from skyhooks.publication import Draft
from skyhooks.signature import make_secret
from skyhooks.store import open_store
from skyhooks.store.base import Store
from tests.conftest import Spawn
from tests.integration.system import System
from tests.mongod import replica_set
from tests.processes import Process, eventually, free_ports

EXAMPLES = Path(__file__).parents[2] / "examples"
PAGE = Path(__file__).parents[2] / "docs" / "adapters.md"
PROGRAMS = dict(enumerate(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)))
APPS = {
    "tornado": "tornado_app/app.py",
    "gevent": "gevent_app/app.py",
    "fastapi": "asgi_app/fastapi_app.py",
    "starlette": "asgi_app/starlette_app.py",
    "django": "asgi_app/django_app.py",
    "twisted": "twisted_app/app.py",
}


class Stage:
    """A registry and log in a real MongoDB, a Celery worker and no gateway; apps are started on it."""

    def __init__(self, folder: Path, store_url: str, stack: ExitStack) -> None:
        self.system = System(folder, gateways=1)
        self.system.store_url = store_url
        self.system.environ |= {"SKYHOOKS_STORE": store_url, "SKYHOOKS_SECRET": make_secret(bytes(range(32)))}
        self.store: Store = open_store(store_url)
        self._folder = folder
        self._stack = stack
        stack.callback(self.store.close)

    def start_worker(self) -> None:
        options = ["-P", "gevent", "-c", "4", "--loglevel", "INFO"]
        worker = Process(
            [sys.executable, "-P", "-m", "celery", "-A", "workers.app", "worker", *options], self.system.environ
        )
        self._stack.callback(worker.close)
        worker.wait_for(" ready")

    def start(self, example: str, account: str) -> "App":
        app = App(self, example, account, self._folder / f"{example}-{account}")
        self._stack.callback(app.process.close)
        app.wait()
        return app

    def reach(self, account: str, *apps: "App") -> list[str]:
        """Submit tasks until a worker has posted to one of the apps; it looks into the registry once a second."""
        tasks: list[str] = []

        def posted() -> bool:
            tasks.append(self.system.submit("add", 0, 0, account=account))
            self.ended(account, tasks)
            return any(app.posts for app in apps)

        eventually(posted, what="a worker's request in the log of a server")
        return tasks

    def log(self, account: str) -> list[tuple[str, Any]]:
        """Positions and data of everything that there is for an account."""
        page = self.store.read(f"accounts/{account}", 0, 10_000, 1 << 30)
        return [(f"{page.epoch}-{one.offset}", msgspec.json.decode(one.data)) for one in page.publications]

    def ended(self, account: str, tasks: list[str]) -> None:
        """Wait until the log has the ends of these tasks, and no more."""

        def ends() -> list[str]:
            return [data["task_id"] for _, data in self.log(account) if data.get("end")]

        eventually(lambda: set(ends()) >= set(tasks), what=f"the ends of {tasks}")
        assert sorted(ends()) == sorted(tasks)


class App:
    """An example as a process."""

    def __init__(self, stage: Stage, example: str, account: str, place: Path) -> None:
        self.port = free_ports()
        argv = [sys.executable, str(EXAMPLES / APPS[example]), "--account", account, "--port", str(self.port)]
        if example == "tornado":
            argv += ["--place", str(place)]
        self.process = Process(argv, stage.system.environ)
        self.account = account
        self._store = stage.store

    def wait(self) -> None:
        """Wait until it listens, and workers can know."""
        self.process.wait_for(f"listening to account {self.account};")
        eventually(self.hooks, what="its hook in the registry")

    def hooks(self) -> list[str]:
        """Where workers reach it, as the registry says."""
        hooks = self._store.hooks({"account_id": self.account}, "gateway")
        return [hook.url for hook in hooks if f":{self.port}/" in hook.url]

    @property
    def heard(self) -> list[tuple[str, Any]]:
        """Positions and data of each call of its callback, in order."""
        lines = [json.loads(line) for line in list(self.process.lines) if line.startswith('{"position"')]
        return [(line["position"], line["data"]) for line in lines]

    @property
    def posts(self) -> int:
        """How many requests from workers its server's log tells of."""
        return sum("POST /skyhooks/hooks" in line for line in list(self.process.lines))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("adapters")
    with ExitStack() as stack:
        database = stack.enter_context(replica_set(folder / "mongod"))
        made = Stage(folder, database.url("adapters"), stack)
        stack.callback(made.system.close)
        made.start_worker()
        yield made


@pytest.fixture
def account() -> str:
    return f"acct-{uuid4().hex[:8]}"


def assert_heard_all(app: App, stage: Stage, before: int = 0) -> None:
    """Every publication of the account after the first `before`, once each, in the order of the log."""
    log = stage.log(app.account)
    eventually(lambda: len(app.heard) >= len(log) - before, what=f"{len(log) - before} calls, {len(app.heard)} came")
    assert app.heard == log[before:]
    assert [position.rpartition("-")[2] for position, _ in log] == [str(n + 1) for n in range(len(log))]


@pytest.mark.parametrize("example", APPS)
def test_a_callback_hears_the_results_of_its_account_once_and_in_order(
    stage: Stage, account: str, example: str
) -> None:
    app = stage.start(example, account)
    first = stage.reach(account, app)
    tasks = [stage.system.submit("add", number, 1, account=account) for number in range(3)]
    tasks.append(stage.system.submit("countdown", 2, 0.05, account=account))
    stage.ended(account, first + tasks)
    assert_heard_all(app, stage)

    ends = {data["task_id"]: data["result"] for _, data in app.heard if data.get("end")}
    assert [ends[task] for task in tasks] == [1, 2, 3, "lift-off"]
    assert "PROGRESS" in {data["state"] for _, data in app.heard}
    shown = requests.get(f"http://127.0.0.1:{app.port}/", timeout=10).json()["heard"]
    assert shown == [data for _, data in app.heard]

    app.process.signal(signal.SIGINT)
    app.process.wait()
    assert app.hooks() == []
    assert "Traceback" not in app.process.output


def test_two_apps_with_one_account_both_hear_everything(stage: Stage, account: str) -> None:
    apps = [stage.start("tornado", account), stage.start("gevent", account)]
    tasks = stage.reach(account, *apps)
    tasks += [stage.system.submit("add", number, 1, account=account) for number in range(10)]
    stage.ended(account, tasks)
    for app in apps:
        assert_heard_all(app, stage)
    # Workers prefer one of the two for an account, so the other one heard of it from the log.
    assert sorted(app.posts > 0 for app in apps) == [False, True]


def test_what_was_not_posted_to_the_app_is_heard_too(stage: Stage, account: str) -> None:
    app = stage.start("fastapi", account)
    assert requests.post(f"http://127.0.0.1:{app.port}/say", params={"text": "hello"}, timeout=10).ok
    stage.system.start_gateway("g0")
    with_gateway = f"{stage.system.urls['g0']}/channels/accounts/{account}"
    requests.post(with_gateway, json={"text": "from a gateway"}, timeout=10).raise_for_status()
    eventually(lambda: len(app.heard) >= 2)
    assert [data["text"] for _, data in app.heard] == ["hello", "from a gateway"]
    assert_heard_all(app, stage)

    stage.system.gateways["g0"].signal(signal.SIGTERM)
    stage.system.gateways["g0"].wait()


def test_workers_do_not_bring_an_app_the_results_of_others(stage: Stage, account: str) -> None:
    app = stage.start("starlette", account)
    stage.reach(account, app)
    posts = app.posts
    tasks = [stage.system.submit("add", number, 1, account=f"{account}-2") for number in range(5)]
    stage.ended(f"{account}-2", tasks)
    assert app.posts == posts


def test_an_app_that_is_killed_loses_no_result_and_goes_on_where_it_was(stage: Stage, account: str) -> None:
    app = stage.start("tornado", account)
    tasks = [stage.system.submit("add", number, 1, account=account) for number in range(3)]
    stage.ended(account, tasks)
    assert_heard_all(app, stage)
    place = next(stage._folder.glob(f"tornado-{account}"))
    eventually(lambda: place.read_text() == app.heard[-1][0])
    app.process.close()

    # The registry still names it for a while, so workers find nobody there and write to the log.
    assert app.hooks()
    tasks += [stage.system.submit("add", number, 1, account=account) for number in range(3, 6)]
    stage.ended(account, tasks)

    again = stage.start("tornado", account)
    tasks += [stage.system.submit("add", number, 1, account=account) for number in range(6, 9)]
    stage.ended(account, tasks)
    assert_heard_all(again, stage, before=len(app.heard))


@pytest.mark.parametrize("number", PROGRAMS)
def test_the_programs_in_the_docs_hear_what_is_published(tmp_path: Path, spawn: Spawn, number: int) -> None:
    port = str(free_ports())
    text = PROGRAMS[number].replace("8888", port)
    file = tmp_path / "program.py"
    file.write_text(text)
    store = open_store(f"sqlite://{tmp_path / 's.db'}")
    process = spawn([sys.executable, "-u", str(file)], {"SKYHOOKS_STORE": store.url, "SKYHOOKS_SECRET": ""})
    if port in text:
        (url,) = eventually(lambda: [hook.url for hook in store.hooks({"account_id": "7"}, "gateway")])
        assert url == f"http://127.0.0.1:{port}/skyhooks/hooks"
        answer = requests.post(url, json={"keys": {"account_id": 7}, "data": "hello"}, timeout=10)
        assert answer.json()["notified"] == 1
    process.wait_for("^hello$")
    store.append([Draft(id="more", channels=("accounts/7",), data=b'"and more"')])
    process.wait_for("^and more$")
    store.close()


def test_the_docs_show_a_program_for_each_framework() -> None:
    imports = re.findall(r"from skyhooks\.adapters\.(\w+) import", "".join(PROGRAMS.values()))
    assert sorted(imports) == ["asgi", "container", "gevent", "tornado", "twisted"]
