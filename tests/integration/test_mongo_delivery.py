"""Results through gateways on a MongoDB replica set whose primary gives up again and again."""

import threading
from pathlib import Path

from tests.integration.system import running
from tests.mongod import replica_set
from tests.processes import eventually

RESULTS = 10_000
STEP_DOWNS = 3


def test_ten_thousand_results_arrive_once_and_in_order_while_the_primary_steps_down(tmp_path: Path) -> None:
    with (
        replica_set(tmp_path / "mongod", members=3) as mongod,
        running(tmp_path, store_url=mongod.url("skyhooks"), concurrency=100) as system,
    ):
        watchers = [system.subscribe(name, "accounts/demo", since="0") for name in system.urls]
        submitted: list[str] = []
        load = threading.Thread(target=lambda: submitted.extend(system.submit("add", n, 1) for n in range(RESULTS)))
        load.start()
        for number in range(1, STEP_DOWNS + 1):
            share = RESULTS * number // (STEP_DOWNS + 2)
            eventually(lambda: len(watchers[0].ends) >= share, within=120, what=f"{share} results")  # noqa: B023
            mongod.step_down()
        load.join()
        eventually(
            lambda: all(len(watcher.ends) >= RESULTS for watcher in watchers),
            within=120,
            what=f"{RESULTS} results on both gateways",
        )
        for watcher in watchers:
            watcher.assert_complete(submitted)
            begun: set[str] = set()
            for event in watcher.events:
                if event["state"] == "STARTED":
                    begun.add(event["task_id"])
                else:
                    assert event["task_id"] in begun
