"""``skyhooks journal`` against a node."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skyhooks import cli
from skyhooks.cli.journal import Entry, line, said
from skyhooks.store.base import JournalEntry
from skyhooks.store.memory import MemoryStore
from tests.unit.gateway.cluster.stations import in_a_thread
from tests.unit.skyhooks.cli.conftest import Run


@pytest.fixture(autouse=True)
def _command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "COMMANDS", tuple(dict.fromkeys((*cli.COMMANDS, "journal"))))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[tuple[str, MemoryStore]]:
    with in_a_thread(tmp_path, "n1") as (url, (one,)):
        yield url, one.memory


def entry(event: str, account: str = "acme", task_id: str = "t1", data: str = "{}") -> JournalEntry:
    return JournalEntry(event=event, node="n1", account=account, task_id=task_id, data=data)


def test_entries_are_lines_oldest_first(run: Run, node: tuple[str, MemoryStore]) -> None:
    url, store = node
    store.add_journal(
        [
            entry("finished", data='{"state":"SUCCESS","runtime":1.25}'),
            entry("stored", data='{"id":"t1:end","status":"stored","positions":{"tasks/t1":"e-3"}}'),
            entry("sent", data='{"id":"t1:end","subscribers":{"tasks/t1":2,"accounts/acme":40}}'),
            entry("finished", "other", "t2"),
        ]
    )
    result = run("journal", "--account", "acme", "--since", "1h", "--url", url)
    assert result.exit_code == 0, result.output
    assert [one.split("  ", 1)[1] for one in result.stdout.splitlines()] == [
        "finished  n1  account=acme task=t1  SUCCESS after 1.250 s",
        "stored    n1  account=acme task=t1  stored tasks/t1 at e-3",
        "sent      n1  account=acme task=t1  to 2 in tasks/t1, 40 in accounts/acme",
    ]
    assert run("journal", "--task", "t2", "--url", url).stdout.count("\n") == 1


def test_json_is_one_object_a_line(run: Run, node: tuple[str, MemoryStore]) -> None:
    url, store = node
    store.add_journal([entry("stored", data='{"a":1}')])
    (found,) = map(json.loads, run("journal", "--json", "--url", url).stdout.splitlines())
    assert (found["event"], found["task_id"], found["data"]) == ("stored", "t1", {"a": 1})


def test_what_comes_next_is_said(run: Run, node: tuple[str, MemoryStore]) -> None:
    url, store = node
    assert "--since 7d" in run("journal", "--url", url).stderr
    store.add_journal([entry("1"), entry("2")])
    first = run("journal", "--limit", "1", "--url", url)
    since = first.stderr.strip().rpartition(" ")[2]
    assert "There may be more. Next: --since" in first.stderr
    assert run("journal", "--since", since, "--url", url).stdout.count("\n") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said_so"),
    [
        (["--since", "yesterday"], 1, "bad_query"),
        (["--account", "a b"], 1, "bad_account"),
        (["--task", "a/b"], 1, "bad_task_id"),
        (["--limit", "0"], 2, "0 is not in the range"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_sentence(
    run: Run, node: tuple[str, MemoryStore], arguments: list[str], code: int, said_so: str
) -> None:
    result = run("journal", *arguments, "--url", node[0])
    assert (result.exit_code, said_so in result.stderr) == (code, True), result.output


def test_nobody_there_is_said(run: Run, free_port: Callable[[], int]) -> None:
    result = run("journal", "--url", f"http://127.0.0.1:{free_port()}")
    assert (result.exit_code, "skyhooks up" in result.stderr) == (1, True)


def test_data_of_another_version_does_not_break_the_line() -> None:
    for event, data in (("sent", {"subscribers": 5}), ("stored", {"positions": []}), ("lost", {"why": "x", "n": 1})):
        assert line(Entry(0.0, event, "n1", data=data))
    assert said(Entry(0.0, "lost", "n1", data={"why": "x", "n": 1})) == "why=x n=1"
    assert said(Entry(0.0, "finished", "n1")) == ""
