"""What the tests of the command line share: a state folder of their own, a runner, and a real gateway."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from skyhooks.cli import main
from tests.processes import Process, free_ports

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SKYHOOKS_STORE", "SKYHOOKS_BROKER", "SKYHOOKS_SECRET", "SKYHOOKS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state-home"))


@pytest.fixture
def run() -> Run:
    """`run("hooks", "list")` runs a command in this process; an exception that it did not expect fails the test."""

    def call(*arguments: str) -> Result:
        result = CliRunner().invoke(main, arguments, prog_name="skyhooks")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    """The URL of a gateway that is open and keeps everything in memory."""
    url = f"http://127.0.0.1:{free_ports()}"
    listen = ["--listen", url.removeprefix("http://"), "--store", "memory://", "--open"]
    process = Process([sys.executable, "-P", "-m", "gateway", *listen])
    try:
        process.wait_for("listening")
        yield url
    finally:
        process.close()
