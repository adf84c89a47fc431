"""``skyhooks hooks`` on a SQLite store."""

from pathlib import Path

import pytest

from tests.unit.skyhooks.cli.conftest import Run

URL = "https://example.org/results"


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/hooks.db"


def test_a_hook_is_added_listed_and_removed(run: Run, store: str) -> None:
    added = run("hooks", "add", URL, "--key", "account_id=7", "--store", store)
    assert added.exit_code == 0
    hook_id, kind, keys, url = added.stdout.split()
    assert (kind, keys, url) == ("endpoint", "account_id=7", URL)
    assert run("hooks", "list", "--store", store).stdout == added.stdout
    assert run("hooks", "list", "--key", "account_id=7", "--store", store).stdout == added.stdout
    assert run("hooks", "list", "--key", "account_id=8", "--store", store).stdout == ""
    assert run("hooks", "remove", hook_id, "--store", store).stdout == f"removed {hook_id}\n"
    listed = run("hooks", "list", "--store", store)
    assert listed.stdout == ""
    assert "skyhooks hooks add" in listed.stderr


def test_the_same_registration_again_is_the_same_hook(run: Run, store: str) -> None:
    first, second = (run("hooks", "add", URL, "--key", "account_id=7", "--store", store).stdout for _ in range(2))
    assert first == second


def test_without_a_store_it_is_the_file_in_the_state_folder(run: Run, tmp_path: Path) -> None:
    run("hooks", "add", URL, "--key", "account_id=7")
    assert (tmp_path / "state-home" / "skyhooks" / "skyhooks.db").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["add", URL], 2, "--key"),
        (["add", URL, "--key", "account_id"], 2, "expected NAME=VALUE, each name once; got 'account_id'"),
        (["add", URL, "--key", "a=1", "--key", "a=2"], 2, "each name once"),
        (["add", "ftp://example.org", "--key", "account_id=7"], 1, "bad_url"),
        (["add", URL, "--key", "account_id=a b"], 1, "bad_account"),
        (["remove", "nothing"], 1, "there is no hook 'nothing'; `skyhooks hooks list` shows their ids"),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    run: Run, store: str, arguments: list[str], code: int, said: str
) -> None:
    result = run("hooks", *arguments, *(["--store", store] if arguments != ["frobnicate"] else []))
    assert (result.exit_code, said in result.stderr) == (code, True), result.output


def test_a_store_that_cannot_be_used_is_said_in_one_sentence(run: Run) -> None:
    result = run("hooks", "list", "--store", "postgres://localhost/x")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: a store is memory://, sqlite:///")
