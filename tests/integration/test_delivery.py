"""The way of a result through real processes, while gateways die and the store is away: once, in order, all of them."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.contract.outage import read_only
from tests.integration.system import System, running
from tests.processes import eventually


@pytest.fixture(params=["gevent", "prefork"])
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[System]:
    with running(tmp_path, pool=request.param) as system:
        yield system


def test_a_gateway_that_is_killed_between_two_results_costs_nothing(system: System) -> None:
    account = system.account_of("g0")
    doomed = system.subscribe("g0", f"accounts/{account}")
    watcher = system.subscribe("g1", f"accounts/{account}")
    submitted = [system.submit("add", 1, 2, account=account)]
    eventually(lambda: doomed.ends and watcher.ends, what="the first result on both gateways")

    system.gateways["g0"].signal(signal.SIGKILL)
    submitted += [system.submit("add", number, 2, account=account) for number in range(20)]
    eventually(lambda: len(watcher.ends) >= 21, what=f"21 results, got {len(watcher.ends)}")

    system.start_gateway("g0")
    submitted.append(system.submit("add", 1, 2, account=account))
    eventually(lambda: len(watcher.ends) >= 22)
    watcher.assert_complete(submitted)
    again = system.subscribe("g0", f"accounts/{account}", since="0")
    eventually(lambda: len(again.ends) >= 22)
    again.assert_complete(submitted)


def test_a_store_that_cannot_be_written_for_ten_seconds_loses_and_doubles_nothing(system: System) -> None:
    watcher = system.subscribe("g0", "accounts/demo", since="0")
    submitted = [system.submit("add", 1, 2)]
    eventually(lambda: watcher.ends)
    with read_only(system.file):
        until = time.monotonic() + 10
        submitted += [system.submit("countdown", 3, 0.2) for _ in range(5)]
        while time.monotonic() < until:
            submitted.append(system.submit("add", len(submitted), 1))
            time.sleep(0.2)
        refused = requests.post(f"{system.urls['g1']}/channels/accounts/demo", json=1, timeout=10)
        assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
        assert refused.headers["Retry-After"]
        assert [event["task_id"] for event in watcher.ends] == submitted[:1]
    eventually(lambda: len(watcher.ends) >= len(submitted), within=60, what="every result after the outage")
    watcher.assert_complete(submitted)


def test_an_event_stream_that_was_cut_resumes_on_the_other_gateway_with_exactly_what_it_missed(tmp_path: Path) -> None:
    with running(tmp_path) as system:
        first, other = (f"{url}/channels/accounts/demo" for url in system.urls.values())
        accept = {"Accept": "text/event-stream"}
        requests.post(first, json="before", timeout=10).raise_for_status()
        with requests.get(first, params={"since": "0"}, headers=accept, stream=True, timeout=10) as response:
            seen = next(line for line in response.iter_lines() if line.startswith(b"id: ") and line != b"id: 0")
        for number in range(5):
            requests.post(first, json=number, timeout=10).raise_for_status()
        resumed = {**accept, "Last-Event-ID": seen.decode().removeprefix("id: ")}
        shown = []
        with requests.get(other, headers=resumed, stream=True, timeout=10) as response:
            requests.post(other, json="last", timeout=10).raise_for_status()
            for line in response.iter_lines():
                shown += [line.removeprefix(b"data: ").decode()] if line.startswith(b"data: ") else []
                if shown[-1:] == ['"last"']:
                    break
        assert shown == ["0", "1", "2", "3", "4", '"last"']
