"""Whatever is done to a store, it answers as the model in memory does. Only the random epochs may differ."""

import shutil
import tempfile
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from skyhooks.channel import Retention
from skyhooks.publication import Draft, Outcome, Position, TaskMark
from skyhooks.store.base import Hook, Page, Store
from skyhooks.store.memory import MemoryStore
from skyhooks.store.mongo import MongoStore
from skyhooks.store.sqlite import SqliteStore
from tests.contract.clock import Clock
from tests.mongod import ReplicaSet, StillTime, empty

ACCOUNTS = ("accounts/a", "accounts/b")
TASKS = ("tasks/1", "tasks/2")
CHANNELS = (*ACCOUNTS, *TASKS)
HOLDERS = st.sampled_from(["x", "y"])

channels = st.one_of(
    st.sampled_from([(name,) for name in CHANNELS]), st.tuples(st.sampled_from(TASKS), st.sampled_from(ACCOUNTS))
)
marks = st.builds(
    TaskMark,
    run=st.sampled_from(["", "r1", "r2", "r3"]),
    retries=st.integers(0, 2),
    state=st.sampled_from(["STARTED", "PROGRESS", "RETRY", "FAILURE", "SUCCESS"]),
)
drafts = st.builds(
    Draft,
    id=st.sampled_from([f"p{n}" for n in range(12)]),
    channels=channels,
    data=st.sampled_from([b"", b"1", b"22222", b"3" * 20]),
    task=st.one_of(st.none(), marks),
    fence=st.sampled_from([0, 0, 0, 0, 1, 2]),
    cursor=st.sampled_from(["", "c1", "c2"]),
    control=st.booleans(),
)
retentions = st.builds(
    Retention,
    count=st.integers(1, 6),
    size=st.sampled_from([0, 10, 50, 1000]),
    age=st.sampled_from([5.0, 50.0, 1000.0]),
    dedupe=st.sampled_from([5.0, 50.0, 1000.0]),
)
keys = st.dictionaries(st.sampled_from(["account_id", "task_id"]), st.sampled_from(["1", "2"]))
hooks = st.builds(
    Hook,
    id=st.uuids().map(str),
    kind=st.sampled_from(["gateway", "endpoint"]),
    keys=keys,
    url=st.sampled_from(["http://1/", "http://2/"]),
    node=st.sampled_from(["", "n1", "n2"]),
)


class Comparison(RuleBasedStateMachine):
    """Does the same to the model and to the store, and compares what they say.

    `backwards`: the times of rows follow a clock that is set back.
    """

    backwards = True

    def open_store(self) -> Store:
        """The store that is compared with the model."""
        return SqliteStore(f"{self.folder}/s.db", self.clock)

    @initialize()
    def open(self) -> None:
        self.clock = Clock()
        self.folder = tempfile.mkdtemp()
        self.model = MemoryStore(self.clock)
        self.stores: tuple[Store, ...] = (self.model, self.open_store())
        self.epochs: dict[str, str] = {"": ""}
        self.marks = [store.news(None).mark for store in self.stores]

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            for store in self.stores:
                store.close()
            shutil.rmtree(self.folder)

    def agree(self, ask: str, *arguments: Any) -> Any:
        """Both give the same answer; that of the model."""
        expected, answer = [getattr(store, ask)(*arguments) for store in self.stores]
        assert answer == expected
        return answer

    def same(self, model: Position, other: Position) -> None:
        """Positions name the same place; an epoch of the model stands for one and the same epoch of the store."""
        assert model.offset == other.offset
        assert self.epochs.setdefault(model.epoch, other.epoch) == other.epoch

    @rule(batch=st.lists(drafts, min_size=1, max_size=6))
    def append(self, batch: list[Draft]) -> None:
        expected, answers = [store.append(batch) for store in self.stores]
        for outcome, answer in zip(expected, answers, strict=True):
            assert answer.status == outcome.status
            self.same_positions(outcome, answer)

    def same_positions(self, outcome: Outcome, answer: Outcome) -> None:
        assert answer.positions.keys() == outcome.positions.keys()
        for name, position in outcome.positions.items():
            self.same(position, answer.positions[name])

    @rule(seconds=st.sampled_from([1.0, 10.0, 100.0, -3.0]))
    def wait(self, seconds: float) -> None:
        if seconds > 0 or self.backwards:
            self.clock.advance(seconds)

    @rule(namespace=st.sampled_from(["accounts", "tasks"]), retention=retentions, limit=st.integers(1, 30))
    def trim(self, namespace: str, retention: Retention, limit: int) -> None:
        self.agree("trim", namespace, retention, limit)

    @rule(name=st.sampled_from(CHANNELS), after=st.integers(0, 15), limit=st.integers(1, 5), size=st.integers(0, 60))
    def read(self, name: str, after: int, limit: int, size: int) -> None:
        self.same_pages(*[store.read(name, after, limit, size) for store in self.stores])

    def same_pages(self, expected: Page, page: Page) -> None:
        assert (page.after, page.publications) == (expected.after, expected.publications)
        self.same(Position(expected.epoch, expected.head), Position(page.epoch, page.head))

    @rule()
    def news(self) -> None:
        expected, news = [store.news(mark) for store, mark in zip(self.stores, self.marks, strict=True)]
        assert news.heads.keys() == expected.heads.keys()
        for name, position in expected.heads.items():
            self.same(position, news.heads[name])
        self.marks = [expected.mark, news.mark]

    @rule(name=st.sampled_from(["nodes/n1", "nodes/n2", "leader"]), holder=HOLDERS, ttl=st.sampled_from([1.0, 20.0]))
    def lease(self, name: str, holder: str, ttl: float) -> None:
        self.agree("lease", name, holder, ttl, f'"{holder}"')

    @rule(name=st.sampled_from(["nodes/n1", "leader"]), holder=HOLDERS, term=st.integers(1, 3))
    def release(self, name: str, holder: str, term: int) -> None:
        self.agree("release", name, holder, term)

    @rule(hook=hooks)
    def add_hook(self, hook: Hook) -> None:
        self.agree("add_hook", hook)

    @rule(data=st.data())
    def remove_hook(self, data: st.DataObject) -> None:
        known = self.agree("hooks") or [Hook(id="none", kind="endpoint", keys={}, url="")]
        self.agree("remove_hook", data.draw(st.sampled_from(known)).id)

    @rule(age=st.sampled_from([0.0, 10.0, 100.0]))
    def sweep_hooks(self, age: float) -> None:
        self.agree("sweep_hooks", age)

    @rule(given=st.one_of(st.none(), keys), kind=st.sampled_from([None, "gateway", "endpoint"]))
    def find_hooks(self, given: dict[str, str] | None, kind: str | None) -> None:
        self.agree("hooks", given, kind)

    @rule(key=HOLDERS, value=st.binary(max_size=4), ttl=st.sampled_from([None, 1.0, 20.0]))
    def put_result(self, key: str, value: bytes, ttl: float | None) -> None:
        self.agree("put_result", key, value, ttl)

    @rule(key=HOLDERS)
    def take_result(self, key: str) -> None:
        self.agree("get_result", key)
        self.agree("delete_result", key)

    @rule()
    def sweep_results(self) -> None:
        self.agree("sweep_results")

    @invariant()
    def nothing_differs(self) -> None:
        if not hasattr(self, "stores"):
            return
        for name in CHANNELS:
            self.same_pages(*[store.read(name, 0) for store in self.stores])
            expected, head = [store.head(name) for store in self.stores]
            assert (expected is None) == (head is None)
            if expected and head:
                self.same(expected.position, head.position)
                assert (head.fence, head.cursor) == (expected.fence, expected.cursor)
        self.agree("leases", "")
        for key in ("x", "y"):
            self.agree("get_result", key)


class MongoComparison(Comparison):
    """Rows have the time of the cluster there, which never goes backwards."""

    backwards = False
    running: ReplicaSet

    def open_store(self) -> Store:
        return MongoStore(empty(self.running, "model"), StillTime(self.clock))


@pytest.fixture
def on_mongo(mongodb: ReplicaSet) -> None:
    """The replica set that a comparison runs on."""
    MongoComparison.running = mongodb


TestComparison = Comparison.TestCase
TestComparison.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestMongoComparison = pytest.mark.usefixtures("on_mongo")(MongoComparison.TestCase)
TestMongoComparison.settings = settings(TestComparison.settings, max_examples=20)
