"""The journal over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from gateway.api.journal import DEFAULT_LIMIT, LATEST, read_since
from skyhooks.errors import Refused, StoreUnavailable
from skyhooks.store.base import JournalEntry
from tests.unit.gateway.api.conftest import Client, assert_problem, read
from tests.unit.gateway.cluster.stations import Station, served, stations


@pytest.fixture
async def station(tmp_path: Path) -> AsyncIterator[Station]:
    async with stations(tmp_path, "n1") as (one,):
        yield one


@pytest.fixture
async def ask(station: Station) -> AsyncIterator[Client]:
    async with served(station) as port:
        client = Client(port)
        yield client
        client.close()


def entry(event: str, account: str = "acme", task_id: str = "t1", data: str = "{}") -> JournalEntry:
    return JournalEntry(event=event, node="n1", account=account, task_id=task_id, data=data)


async def events(ask: Client, query: str = "") -> list[str]:
    return [one["event"] for one in read(await ask("GET", f"/api/journal{query}"))["entries"]]


async def test_an_entry_is_shown_whole_with_its_data_as_json(ask: Client, station: Station) -> None:
    station.memory.add_journal([entry("stored", data='{"status":"stored"}')])
    answer = read(await ask("GET", "/api/journal"))
    (one,) = answer["entries"]
    assert one.pop("at") > 0
    assert one == {
        "event": "stored",
        "node": "n1",
        "account": "acme",
        "task_id": "t1",
        "data": {"status": "stored"},
    }
    assert answer["more"] is False


async def test_it_is_asked_by_account_task_and_time(ask: Client, station: Station) -> None:
    station.memory.add_journal([entry("1"), entry("2", "other"), entry("3", "7", "t2")])
    assert await events(ask) == ["1", "2", "3"]
    assert await events(ask, "?account=acme") == ["1"]
    assert await events(ask, "?account=7&task=t2") == ["3"]
    assert await events(ask, "?task=t1&since=1h") == ["1", "2"]
    assert await events(ask, "?since=0.000001s") == []
    assert await events(ask, "?since=0&limit=2") == ["1", "2"]
    assert await events(ask, "?since=999999999999") == []
    assert read(await ask("GET", "/api/journal?limit=2"))["more"] is True


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("since=yesterday", "bad_query"),
        ("since=-1h", "bad_query"),
        ("since=1w", "bad_query"),
        ("since=", "bad_query"),
        ("since=1e9", "bad_query"),
        ("since=nan", "bad_query"),
        ("since=1h\n", "bad_query"),
        ("since=\u0661h", "bad_query"),
        ("limit=0", "bad_query"),
        ("limit=10001", "bad_query"),
        ("limit=-1", "bad_query"),
        ("limit=1.5", "bad_query"),
        ("limit=\u0661", "bad_query"),
        ("limit=99999999999999999999", "bad_query"),
        ("account=a b", "bad_account"),
        ("account=", "bad_account"),
        ("task=a/b", "bad_task_id"),
        ("account=a&account=b", "bad_query"),
        ("user=a", "bad_query"),
    ],
)
async def test_what_cannot_be_asked_is_refused(ask: Client, query: str, code: str) -> None:
    assert_problem(await ask("GET", f"/api/journal?{quote(query, safe='=&')}"), 400, code)


def test_a_time_is_absolute_or_a_while_ago() -> None:
    assert read_since("1764000000.5", 2e9) == 1764000000.5
    assert [read_since(text, 1e6) for text in ("90s", "15m", "1h", "2d", "1.5h")] == [
        999_910.0,
        999_100.0,
        996_400.0,
        827_200.0,
        994_600.0,
    ]
    assert read_since("7d", 10.0) == 0.0
    assert read_since("9" * 12, 0.0) == LATEST
    with pytest.raises(Refused):
        read_since("9" * 13, 0.0)
    assert DEFAULT_LIMIT == 1000


async def test_a_store_that_is_away_is_said(ask: Client, station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise StoreUnavailable("sesame")

    monkeypatch.setattr(station.memory, "journal", away)
    assert "sesame" not in assert_problem(await ask("GET", "/api/journal"), 503, "store_unavailable")
