"""The page on production parts, started as the README says: MongoDB, RabbitMQ, gateways, workers of two pools."""

import base64
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Page, expect

from skyhooks.signature import make_secret
from tests.browser.test_dashboard import submit, watch
from tests.mongod import replica_set
from tests.processes import Process, free_ports
from tests.servers.rabbitmq import rabbitmq


class Production(NamedTuple):
    """Where the gateways are, and the workers by their pools."""

    urls: list[str]
    workers: dict[str, Process]


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    folder: Path = tmp_path_factory.mktemp("production")
    with ExitStack() as stack:
        mongod = stack.enter_context(replica_set(folder / "mongod"))
        broker = stack.enter_context(rabbitmq(folder / "rabbitmq"))
        environ = {
            "SKYHOOKS_STORE": mongod.url("skyhooks"),
            "SKYHOOKS_BROKER": broker.url,
            "SKYHOOKS_SECRET": make_secret(base64.b64decode("c2t5aG9va3M=") * 3),
            "XDG_STATE_HOME": str(folder),
        }

        def start(*command: str) -> Process:
            process = Process([sys.executable, "-P", "-m", "skyhooks.cli", *command], environ, cwd=folder)
            stack.callback(process.close)
            return process

        first = free_ports(2)
        urls = [f"http://127.0.0.1:{first + number}" for number in range(2)]
        for url in urls:
            start("gateway", "--listen", url.removeprefix("http://")).wait_for("listening ")
        workers = {
            pool: start("worker", "--pool", pool, "-n", f"{pool}@%h", "-c", "2", "-l", "INFO")
            for pool in ("prefork", "gevent")
        }
        for worker in workers.values():
            worker.wait_for(" ready", within=60)
        yield Production(urls, workers)


def test_progress_result_failure_and_retries_appear_on_either_gateway(page: Page, production: Production) -> None:
    for number, url in enumerate(production.urls):
        watch(page, url, f"account{number}")
        row = submit(page, "countdown", kwargs={"total": 4, "delay": 0.5})
        expect(row.locator(".count")).to_have_text("2 / 4")
        expect(row.locator(".badge")).to_have_text("Done")
        failed = submit(page, "fail", kwargs={})
        expect(failed.locator(".badge")).to_have_text("Failed")
        retried = submit(page, "flaky", kwargs={"failures": 1, "delay": 1})
        expect(retried.locator(".badge")).to_have_text("Done")


def test_workers_of_both_pools_did_the_work(page: Page, production: Production) -> None:
    watch(page, production.urls[0], "both")
    rows = [submit(page, "countdown", kwargs={"total": 2, "delay": 0.5}) for _ in range(4)]
    for row in rows:
        expect(row.locator(".badge")).to_have_text("Done")
    for worker in production.workers.values():
        worker.wait_for("succeeded in")
