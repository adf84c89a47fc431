import asyncio

import pytest
from celery import Celery

from gateway.api.catalogue import Catalogue
from gateway.api.control import Control
from skyhooks.errors import StoreUnavailable
from skyhooks.publication import Draft
from skyhooks.store.base import Head
from skyhooks.store.memory import MemoryStore
from skyhooks.store.threaded import ThreadedStore
from tests.unit.gateway.api.conftest import STATUS, Client, assert_problem, read
from tests.unit.gateway.broker import sent

COUNTDOWN = "/api/tasks/workers.tasks.countdown"


async def test_the_tasks_on_offer_are_listed_with_arguments_to_start_from(ask: Client) -> None:
    known, unknown = read(await ask("GET", "/api/tasks"))["tasks"]
    assert known["name"] == "workers.tasks.countdown"
    assert known["about"]
    assert known["kwargs"]
    assert unknown == {"name": "proj.unknown", "about": "", "args": [], "kwargs": {}}


async def test_a_submission_is_accepted_with_id_channels_and_positions(
    ask: Client, broker: Celery, store: ThreadedStore
) -> None:
    (before,) = await store.append([Draft(id="1", channels=("accounts/demo",), data=b"{}")])
    response = await ask("POST", COUNTDOWN, {"args": [3], "kwargs": {"delay": 0}, "account": "demo"})
    assert response.code == 202
    answer = read(response)
    task = f"tasks/{answer['task_id']}"
    assert answer["channels"] == {"task": task, "account": "accounts/demo"}
    assert answer["positions"] == {task: "0", "accounts/demo": str(before.positions["accounts/demo"])}
    (message,) = sent(broker)
    assert message.headers["id"] == answer["task_id"]


async def test_everything_in_the_body_has_a_default(ask: Client, broker: Celery) -> None:
    response = await ask("POST", COUNTDOWN, {})
    assert response.code == 202
    assert set(read(response)["channels"]) == {"task"}
    assert len(sent(broker)) == 1


async def test_deadline_and_expiry_are_passed_on(ask: Client, broker: Celery, store: ThreadedStore) -> None:
    response = await ask("POST", COUNTDOWN, {"deadline": 0.001, "expires": 60})
    assert response.code == 202
    await asyncio.sleep(0.01)
    (due,) = await store.overdue()
    assert (due.task_id, due.reason) == (read(response)["task_id"], "deadline")
    assert sent(broker)[0].headers["expires"]


async def test_a_number_is_an_account_too(ask: Client) -> None:
    answer = read(await ask("POST", COUNTDOWN, {"account": 7}))
    assert answer["channels"]["account"] == "accounts/7"


async def test_a_name_that_is_not_on_the_list_is_not_submitted(ask: Client, broker: Celery) -> None:
    detail = assert_problem(await ask("POST", "/api/tasks/os.system", {"args": ["ls"]}), 404, "unknown_task")
    assert "workers.tasks.countdown" in detail
    assert sent(broker) == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "bad_json"),
        (b"{", "bad_json"),
        (b"\xff", "bad_json"),
        (b'{"account": "\xff"}', "bad_json"),
        (b'{"args": ' + b"[" * 100_000, "bad_json"),
        (b"[]", "bad_body"),
        (b"null", "bad_body"),
        (b'{"args": {}}', "bad_body"),
        (b'{"kwargs": []}', "bad_body"),
        (b'{"account": true}', "bad_body"),
        (b'{"arguments": []}', "bad_body"),
        (b'{"deadline": -1}', "bad_body"),
        (b'{"deadline": 82801}', "bad_body"),
        (b'{"deadline": 1e400}', "bad_body"),
        (b'{"deadline": "1"}', "bad_body"),
        (b'{"expires": 0}', "bad_body"),
        (b'{"expires": 82801}', "bad_body"),
        (b'{"expires": true}', "bad_body"),
        (b'{"account": "no spaces"}', "bad_account"),
        (b'{"account": "a/b"}', "bad_account"),
        (b'{"account": ""}', "bad_account"),
    ],
)
async def test_a_body_that_is_no_submission_is_refused_and_nothing_is_sent(
    ask: Client, broker: Celery, body: bytes, code: str
) -> None:
    assert_problem(await ask("POST", COUNTDOWN, body, Content_Type="application/json"), 400, code)
    assert sent(broker) == []


@pytest.mark.parametrize("given", ["text/plain", "application/x-www-form-urlencoded", "application/json5", ""])
async def test_a_body_must_say_that_it_is_json(ask: Client, broker: Celery, given: str) -> None:
    assert_problem(await ask("POST", COUNTDOWN, b"{}", Content_Type=given), 415, "bad_content_type")
    assert sent(broker) == []


async def test_json_may_name_its_only_encoding(ask: Client) -> None:
    response = await ask("POST", COUNTDOWN, b"{}", Content_Type="application/json; charset=UTF-8")
    assert response.code == 202


async def test_parameters_in_the_query_are_not_ignored(ask: Client, broker: Celery) -> None:
    assert_problem(await ask("POST", f"{COUNTDOWN}?account=demo", {}), 400, "bad_query")
    assert sent(broker) == []


class TestWithoutABroker:
    @pytest.fixture
    def control(self, store: ThreadedStore) -> Control:
        return Control(store, None, Catalogue(["workers.tasks.countdown"]), lambda: STATUS)

    async def test_nothing_is_on_offer(self, ask: Client) -> None:
        assert read(await ask("GET", "/api/tasks")) == {"tasks": []}

    async def test_a_submission_is_told_so(self, ask: Client) -> None:
        assert_problem(await ask("POST", COUNTDOWN, {}), 503, "no_broker")


class TestWithTheStoreAway:
    class Away(MemoryStore):
        def head(self, channel: str) -> Head | None:
            raise StoreUnavailable("secret path")

    @pytest.fixture
    def memory(self) -> MemoryStore:
        return self.Away()

    async def test_a_submission_is_asked_to_come_again(self, ask: Client, broker: Celery) -> None:
        response = await ask("POST", COUNTDOWN, {"account": "demo"})
        assert "secret path" not in assert_problem(response, 503, "store_unavailable")
        assert response.headers["Retry-After"] == "1"
        assert sent(broker) == []
