"""A gevent program takes webhooks as a gateway does, and each callback has a greenlet of its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from skyhooks.adapters.gevent import Container
from skyhooks.errors import SettingsError
from skyhooks.store import open_store
from tests.processes import Process
from tests.unit.skyhooks.adapters.exchange import CASES, SECRET, Switched, exchange, hook, post

ROOT = Path(__file__).parents[4]


class Program:
    def __init__(self, folder: Path, secret: str = "") -> None:
        self.store_url = f"sqlite://{folder / 's.db'}"
        argv = [sys.executable, "-m", "tests.unit.skyhooks.adapters.green_program", self.store_url, secret]
        self.process = Process(argv, cwd=ROOT)
        self.mount = ""


@contextmanager
def running(folder: Path, secret: str = "") -> Iterator[Program]:
    program = Program(folder, secret)
    try:
        program.mount = program.process.wait_for("listening (.+)").group(1)
        yield program
    finally:
        program.process.close()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("green")) as program:
        yield program


@pytest.mark.parametrize("name", CASES)
def test_every_request_has_its_answer(program: Program, name: str) -> None:
    exchange(CASES[name], program.mount)


def test_the_application_inside_answers_everything_else(program: Program) -> None:
    assert requests.get(program.mount, timeout=10).text == "app"


def test_a_callback_that_waits_delays_no_other_and_one_that_wants_to_be_awaited_is_reported(program: Program) -> None:
    program.process.wait_for("notified 3")
    program.process.wait_for("stuck 0")
    program.process.wait_for("heard 0")
    program.process.wait_for("failures 1")
    assert post(program.mount, hook(data="more", keys={"account_id": "acme"}))[0] == 200
    program.process.wait_for("heard more")
    assert "stuck more" not in program.process.lines
    assert "never" not in program.process.output


def test_with_a_secret_only_what_is_signed_is_taken(tmp_path: Path) -> None:
    with running(tmp_path, SECRET) as program:
        assert post(program.mount, hook())[1]["code"] == "unsigned"
        assert post(program.mount, hook(), signed=True)[0] == 200
        program.process.wait_for("heard {'n': 1}")
        store = open_store(program.store_url)
        assert len(store.read("accounts/acme", 0).publications) == 2
        store.close()


def test_a_program_that_gevent_has_not_patched_is_told_so() -> None:
    with pytest.raises(SettingsError, match="patch_all"):
        Container(Switched())
