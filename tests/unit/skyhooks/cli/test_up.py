"""The parts of ``skyhooks up``; the whole is in tests/integration/test_up.py."""

import os
import socket
from pathlib import Path

import click
import pytest

from skyhooks.cli import up
from skyhooks.cli.state import State
from skyhooks.errors import SettingsError
from skyhooks.signature import make_secret
from skyhooks.store import open_store
from tests.processes import free_ports
from tests.unit.skyhooks.cli.conftest import Run


def test_free_ports_are_accepted() -> None:
    first = free_ports(2)
    up.check_ports(range(first, first + 2))


def test_a_port_that_is_taken_is_named() -> None:
    first = free_ports(2)
    with socket.create_server(("127.0.0.1", first + 1)), pytest.raises(click.UsageError) as caught:
        up.check_ports(range(first, first + 2))
    assert caught.value.message == (
        f"ports {first} to {first + 1} on 127.0.0.1 must be free, but cannot be used: "
        f"{first + 1} (Address already in use); choose with --port"
    )


def test_ports_above_the_last_are_said(run: Run) -> None:
    result = run("up", "--port", "65535", "--gateways", "2")
    assert result.exit_code == 2
    assert "2 gateways from port 65535 on end above 65535; use a lower --port" in result.stderr


@pytest.mark.parametrize("options", [["--port", "0"], ["--port", "http"], ["--gateways", "0"], ["--concurrency", "0"]])
def test_numbers_out_of_range_are_usage_errors(run: Run, options: list[str]) -> None:
    assert run("up", *options).exit_code == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--store", "memory://"], "a store in memory belongs to one process"),
        (["--store", "postgres://localhost"], "a store is memory://, sqlite:///absolute/path.db or mongodb://"),
        (["--broker", "file://relative"], "the embedded broker is file:///absolute/folder"),
    ],
)
def test_a_store_or_broker_that_cannot_be_used_is_said_before_anything_starts(
    run: Run, tmp_path: Path, options: list[str], said: str
) -> None:
    result = run("up", "--port", str(free_ports(2)), "--state", str(tmp_path), *options)
    assert result.exit_code in (1, 2)
    assert said in result.stderr


def test_children_find_store_broker_secret_and_spool_in_their_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = State(tmp_path)
    monkeypatch.setenv("ELSE", "kept")
    environ = up.environment(state, "memory://", "redis://localhost")
    assert environ["SKYHOOKS_STORE"] == "memory://"
    assert environ["SKYHOOKS_BROKER"] == "redis://localhost"
    assert environ["SKYHOOKS_SECRET"] == state.secret()
    assert environ["SKYHOOKS_SPOOL"] == str(tmp_path / "spool")
    assert environ["ELSE"] == "kept"


def test_a_secret_that_is_given_is_used_and_a_wrong_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = make_secret(os.urandom(32))
    monkeypatch.setenv("SKYHOOKS_SECRET", given)
    assert up.environment(State(tmp_path), "memory://", "x")["SKYHOOKS_SECRET"] == given
    assert not State(tmp_path).secret_file.exists()
    monkeypatch.setenv("SKYHOOKS_SECRET", "wrong")
    with pytest.raises(SettingsError):
        up.environment(State(tmp_path), "memory://", "x")


def test_the_broker_is_made_before_anything_starts(tmp_path: Path) -> None:
    state = State(tmp_path)
    up.recover(state.store_url, state.broker_url)
    assert (tmp_path / "broker").is_dir()
    assert open_store(state.store_url).head("tasks/none") is None


def test_workers_go_before_gateways(tmp_path: Path) -> None:
    worker = up.worker_program("gevent", 100, {}, tmp_path)
    gateway = up.gateway_program(1, 8080, "127.0.0.1:7000", {}, tmp_path)
    numbers = up.numbers_program("127.0.0.1:7000", {}, tmp_path)
    assert worker.rank < gateway.rank < numbers.rank
    assert "bridges=numbers=numbers://127.0.0.1:7000" in gateway.argv
    assert worker.argv[1:8] == ("-P", "-m", "celery", "-A", "workers.app", "--quiet", "worker")


def test_commands_name_the_gateway_only_when_it_is_not_the_default(tmp_path: Path) -> None:
    usual = up.where_to_look(["http://127.0.0.1:8080"], 7, State(tmp_path))
    other = up.where_to_look(["http://127.0.0.1:9000", "http://127.0.0.1:9001"], 7, State(tmp_path))
    assert "--url" not in usual
    assert "Same at" not in usual
    assert "--wait --url http://127.0.0.1:9000\n" in other
    assert "http://127.0.0.1:9001/" in other
    assert "kill -9 7 " in other
