"""A whole system as `skyhooks up` starts it, and Chromium to look at it with."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.processes import Process, free_ports

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 20_000
"""Milliseconds after which something that should appear on a page counts as missing."""


class System:
    """Two gateways and a worker, on a store and a broker of their own."""

    def __init__(self, state: Path) -> None:
        port = free_ports(2)
        argv = (sys.executable, "-P", "-m", "skyhooks.cli", "up", "--port", str(port), "--state", str(state))
        self.process = Process(argv, cwd=state)
        self.urls = [f"http://127.0.0.1:{port + number}" for number in range(2)]
        self.process.wait_for("Skyhooks is ready", within=60)
        self.process.wait_for(r"celery@.* ready|worker-1@\S+ ready", within=60)

    def pid_of_the_first_gateway(self) -> int:
        """As the system itself says it."""
        return int(self.process.wait_for(r"kill -9 (\d+)")[1])


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(tmp_path_factory.mktemp("state"))
    yield system
    system.process.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    assert CHROMIUM.exists(), "install the Debian package chromium: the page is tested in a real browser"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of a fresh profile, whose scripts may not fail and whose content policy may not be broken."""
    with chromium.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if is_a_violation(line.text) else None)
        yield page
        assert complaints == []


def is_a_violation(text: str) -> bool:
    """Whether a line in the console says that the page broke its content policy."""
    return re.search(r"Content.Security.Policy", text, re.IGNORECASE) is not None
