"""Every way in which a task can go, in each pool: on RabbitMQ and on Redis with MongoDB, and on what needs no server.

Each ends once, as it should.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.pool_cases import CASES, Steps
from tests.integration.pool_stage import opened
from tests.processes import eventually

Place = tuple[str, str]

PLACES: list[Place] = [
    *(("rabbitmq", pool) for pool in ("gevent", "prefork", "threads", "solo")),
    *(("redis", pool) for pool in ("gevent", "prefork")),
    *(("embedded", pool) for pool in ("gevent", "prefork", "threads", "solo")),
]
"""Brokers and pools. What threads and solo cannot do does not depend on the broker."""

TABLE = [(place, name) for place in PLACES for name, case in CASES.items() if place[1] in case.pools]


class Play:
    """A gateway and a worker in one place, and every case that its pool can have under way."""

    def __init__(self, folder: Path, store_url: str, broker_url: str, pool: str) -> None:
        self._open = ExitStack()
        try:
            self.stage = self._open.enter_context(opened(folder, store_url, broker_url))
            self.stage.gateway()
            self.worker = self.stage.worker(pool)
            self.cases: dict[str, Steps] = {}
            for name, case in CASES.items():
                if pool in case.pools:
                    self.cases[name] = case.body(self.stage, f"acct-{uuid4().hex[:12]}")
                    next(self.cases[name])
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End its processes."""
        self._open.close()


class Theatre:
    """Shows one play at a time, the one that is asked for."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request
        self._on: tuple[Place, Play] | None = None

    def play(self, place: Place) -> Play:
        """The play in a place; the one before it ends."""
        if self._on is None or self._on[0] != place:
            self.close()
            self._on = (place, self._begin(*place))
        return self._on[1]

    def close(self) -> None:
        """End the play."""
        if self._on is not None:
            self._on[1].close()
            self._on = None

    def _begin(self, broker: str, pool: str) -> Play:
        folder = self._request.getfixturevalue("tmp_path_factory").mktemp(f"{broker}-{pool}")
        if broker == "embedded":
            return Play(folder, f"sqlite://{folder / 'store.db'}", f"file://{folder / 'broker'}", pool)
        store_url = self._request.getfixturevalue("mongodb").url(f"pools-{broker}-{pool}")
        server = self._request.getfixturevalue(f"{broker}_server")
        broker_url = server.url if broker == "rabbitmq" else server.url(PLACES.index((broker, pool)))
        return Play(folder, store_url, broker_url, pool)


@pytest.fixture(scope="module")
def theatre(request: pytest.FixtureRequest) -> Iterator[Theatre]:
    made = Theatre(request)
    yield made
    made.close()


@pytest.mark.parametrize(("place", "name"), TABLE, ids=["-".join((*place, name)) for place, name in TABLE])
def test_a_task_ends_as_it_should(theatre: Theatre, place: Place, name: str) -> None:
    play = theatre.play(place)
    seen = len(play.worker.lines)
    try:
        next(play.cases[name], None)
    finally:
        print("\n".join(play.worker.lines[max(0, seen - 50) :]))  # shown when the test has failed


def test_a_pool_survives_that_its_processes_are_terminated(tmp_path: Path) -> None:
    """A thread of ours must not take the signal that Celery keeps from the thread that holds the pool's lock."""
    with opened(tmp_path, f"sqlite://{tmp_path / 'store.db'}", f"file://{tmp_path / 'broker'}") as stage:
        stage.worker("prefork")
        for _ in range(16):
            result = stage.send("sleeps", 60, account="a")
            eventually(lambda id=result.id: stage.states(id) == ["STARTED"], what="the task runs")  # type: ignore[misc]
            result.revoke(terminate=True)
            assert stage.end(result.id)["error"]["code"] == "terminated"
        assert stage.end(stage.send("ok", "alive", account="a").id)["result"] == "alive"
