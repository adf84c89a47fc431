"""``celery -A shop skyhooks doctor|status`` as people run it: a sound system passes, and each planted mistake is found.

Everything is real: the app of a stranger, a gateway, a worker, the embedded broker, a mongod that stands alone.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from skyhooks.cli.doctor import COLOURS
from skyhooks.signature import make_secret
from tests.mongod import running
from tests.processes import Process, free_ports
from tests.unit.skyhooks.checkup.planting import environment, gateway

SECRET, OTHER = make_secret(bytes(32)), make_secret(bytes(range(32)))

APP = """
import os
from celery import Celery
from skyhooks import brokers

app = Celery("shop", result_backend="skyhooks")
brokers.configure(app, os.environ["SHOP_BROKER"])
app.conf.update({conf})


@app.task
def pay(cents):
    return cents
"""


class Shop:
    """An app in a folder of its own, next to a gateway at `url`, with the environment of both."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.broker = folder / "broker"
        self.env = environment(folder, SECRET, SHOP_BROKER=f"file://{self.broker}")
        self.url = stack.enter_context(gateway(self.env, "--node-id", "g1"))
        self.write()

    def write(self, conf: str = "") -> None:
        """Write the app, with these settings besides the sound ones."""
        (self.folder / "shop.py").write_text(APP.format(conf=conf))

    def run(self, *command: str, env: Mapping[str, str] | None = None) -> Process:
        """Run a Python module in the app's folder, to its end."""
        made = {**self.env, "SKYHOOKS_URL": self.url, **(env or {})}
        process = Process([sys.executable, "-m", *command], made, self.folder)
        process.wait()
        return process

    def doctor(self, conf: str = "", env: Mapping[str, str] | None = None) -> Process:
        """What Celery's own command says of the app with these settings in this environment."""
        self.write(conf)
        return self.run("celery", "-A", "shop", "skyhooks", "doctor", env=env)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A system in which nothing is wrong, with a worker."""
    with ExitStack() as stack:
        made = Shop(tmp_path_factory.mktemp("shop"), stack)
        argv = [sys.executable, "-m", "celery", "-A", "shop", "worker", "-c", "1", "-l", "INFO", "-n", "w1@test"]
        worker = Process(argv, made.env, made.folder)
        stack.callback(worker.close)
        worker.wait_for(r"ready\.$")
        yield made


def findings(process: Process) -> list[str]:
    """The lines that tell of a finding."""
    return [line for line in process.lines if line.split(" ")[0] in COLOURS]


def mistakes(process: Process) -> list[str]:
    """The names of the mistakes, each of which comes with a fix."""
    found = []
    for number, line in enumerate(process.lines):
        if line.startswith(("warn", "fail")):
            assert process.lines[number + 1].startswith("      -> ")
            found.append(line.rpartition("[")[2].rstrip("]"))
    return found


def test_a_sound_system_passes_both_doctors_and_they_say_the_same(shop: Shop) -> None:
    first = shop.doctor()
    assert first.wait() == 0, first.output
    assert "All is well." in first.lines
    assert mistakes(first) == []
    second = shop.run("skyhooks.cli", "doctor", "-A", "shop")
    assert second.wait() == 0, second.output
    assert findings(second) == findings(first)
    assert len(findings(first)) >= 12


FAILURES: dict[str, tuple[str, dict[str, str]]] = {
    "no_secret": ("", {"SKYHOOKS_SECRET": ""}),
    "bad_secret": ("skyhooks_secret='whsec_hidden'", {}),
    "other_secret": (f"skyhooks_secret={OTHER!r}", {}),
    "other_store": ("skyhooks_store='sqlite://{folder}/other.db'", {}),
    "store_unusable": ("result_backend='skyhooks+sqlite:///dev/null/a.db'", {}),
    "url_silent": ("", {"SKYHOOKS_URL": "http://127.0.0.1:{port}"}),
    "other_backend": ("result_backend='rpc://'", {}),
    "spool_unwritable": ("skyhooks_spool='/proc/spool'", {}),
    "bad_setting": ("skyhooks_deadline='soon'", {}),
    "broker_unreachable": ("", {"SHOP_BROKER": "amqp://127.0.0.1:{port}//"}),
    "not_json": ("task_serializer='msgpack'", {}),
}
"""Mistakes that fail: the app's settings, and the environment."""

WARNINGS = {
    "started_untold": "task_track_started=False",
    "early_acks": "task_acks_late=False",
    "lost_worker_acked": "task_reject_on_worker_lost=False",
    "pickle": "accept_content=['json', 'pickle']",
    "eager_tasks": "task_always_eager=True",
}
"""Mistakes that warn: the app's settings."""


@pytest.mark.parametrize("name", FAILURES)
def test_a_mistake_that_loses_results_is_found_and_fails(shop: Shop, name: str, free_port: Callable[[], int]) -> None:
    conf, env = FAILURES[name]
    filled = {key: value.format(port=free_port()) for key, value in env.items()}
    said = shop.doctor(conf.format(folder=shop.folder), filled)
    assert said.wait() == 1, said.output
    assert name in mistakes(said)
    assert "each line above says what to change" in said.lines[-1]
    assert "Traceback" not in said.output
    assert "hidden" not in said.output


@pytest.mark.parametrize("name", WARNINGS)
def test_a_mistake_that_is_worth_a_warning_is_found_alone(shop: Shop, name: str) -> None:
    said = shop.doctor(WARNINGS[name])
    assert said.wait() == 0, said.output
    assert mistakes(said) == [name]
    assert "Nothing is broken." in said.lines


def test_a_mongod_that_stands_alone(shop: Shop, tmp_path: Path) -> None:
    with running(tmp_path, []) as (port, process):
        process.wait_for("Waiting for connections")
        said = shop.doctor(f"result_backend='skyhooks+mongodb://127.0.0.1:{port}/shop'")
    assert said.wait() == 1
    assert "standalone_mongod" in mistakes(said)
    assert "rs.initiate()" in said.output


def test_a_gateway_whose_clock_is_wrong(shop: Shop, tmp_path: Path) -> None:
    env = environment(tmp_path, SECRET)
    with gateway(env, "-X", "lease_seconds=900", ahead=400) as url:
        said = shop.doctor("", {**env, "SKYHOOKS_URL": url})
    assert said.wait() == 1
    assert set(mistakes(said)) == {"clock_wrong"}


def test_a_gateway_that_was_killed_is_found_until_its_lease_has_run_out(shop: Shop, tmp_path: Path) -> None:
    env = environment(tmp_path, SECRET)
    with gateway(env, "-X", "lease_seconds=900"):
        pass
    said = shop.doctor("", {**env, "SKYHOOKS_URL": shop.url})
    assert said.wait() == 1
    assert mistakes(said) == ["gateway_unreachable", "other_store"]


def test_the_status_shows_gateway_store_spool_queue_and_worker(shop: Shop) -> None:
    shop.write()
    said = shop.run("celery", "-A", "shop", "skyhooks", "status", "--timeout", "3")
    assert said.wait() == 0, said.output
    assert f"store    sqlite://{shop.folder}/store.db: answers" in said.lines
    said.wait_for(rf"^  g1  {shop.url}  signed, ready, 0 subscribers, 0 channels, up \d+ s$")
    assert f"spool    {shop.folder}/spool: empty" in said.lines
    assert f"broker   file://{shop.broker}: waiting: celery 0" in said.lines
    assert "  w1@test  result backend skyhooks" in said.lines


def test_the_status_is_json_for_programs_and_fails_when_the_broker_is_gone(shop: Shop) -> None:
    shop.write()
    gone = {"SHOP_BROKER": f"redis://127.0.0.1:{free_ports()}/0"}
    said = shop.run("celery", "-A", "shop", "skyhooks", "status", "--json", env=gone)
    assert said.wait() == 1
    view = json.loads(said.lines[0])
    assert "Connection refused" in view["broker_problem"]
    assert [(node["id"], node["problem"]) for node in view["nodes"]] == [("g1", "")]
