"""Which account a message gets, as it stands in the broker."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context

import skyhooks
from skyhooks.accounts import account_of, guard, listen, on_behalf_of, surrounding_account
from skyhooks.broker import configure
from skyhooks.errors import Refused


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Celery]:
    made = Celery("x", set_as_current=False)
    configure(made, f"file://{tmp_path}")
    made.conf.task_ignore_result = True
    listen()
    yield made
    made.close()


def account_in_broker(app: Celery) -> Any:
    """The account in the header of the oldest message."""
    with app.connection_for_read() as connection:
        message = connection.default_channel.basic_get("celery", no_ack=True)
        return message.headers.get("skyhooks_account")


def stamped(app: Celery, account: object) -> Any:
    signature = app.signature("t")
    signature.stamp(skyhooks_account=account)
    return signature


def test_without_any_there_is_none(app: Celery) -> None:
    app.send_task("t")

    assert account_in_broker(app) is None


def test_header_then_context_then_stamp_then_parent(app: Celery) -> None:
    header = {"skyhooks_account": "header"}
    with on_behalf_of("parent"):
        app.send_task("t")
        assert account_in_broker(app) == "parent"
        stamped(app, "stamp").apply_async()
        assert account_in_broker(app) == "stamp"
        with skyhooks.account("context"):
            stamped(app, "stamp").apply_async()
            assert account_in_broker(app) == "context"
            stamped(app, "stamp").apply_async(headers=header)
            assert account_in_broker(app) == "header"


def test_a_number_is_written_as_text(app: Celery) -> None:
    with skyhooks.account(7) as name:
        app.send_task("t")

    assert (name, account_in_broker(app)) == ("7", "7")


def test_a_stamp_that_was_added_twice_counts_once(app: Celery) -> None:
    signature = stamped(app, "first")
    signature.stamp(append_stamps=True, skyhooks_account="first")
    with skyhooks.account("x"):
        pass
    signature.apply_async()

    assert account_in_broker(app) == "first"


def test_a_context_belongs_to_its_thread_and_its_task(app: Celery) -> None:
    seen: list[str] = []

    async def submit(name: str, mine: asyncio.Event, other: asyncio.Event) -> None:
        with skyhooks.account(name):
            mine.set()
            await other.wait()
            app.send_task("t")
            seen.append(account_in_broker(app))

    async def both() -> None:
        first, second = asyncio.Event(), asyncio.Event()
        await asyncio.gather(submit("a", first, second), submit("b", second, first))

    with skyhooks.account("outer"):
        thread = threading.Thread(target=lambda: app.send_task("t"))
        thread.start()
        thread.join()
        assert account_in_broker(app) is None
    asyncio.run(both())
    assert sorted(seen) == ["a", "b"]


@pytest.mark.parametrize("bad", ["", "a b", None, 1.5, True, "x" * 129])
def test_a_bad_name_is_refused_where_it_is_given(bad: Any) -> None:
    with pytest.raises(Refused, match="bad_account"), skyhooks.account(bad):
        pass


def test_a_guarded_app_refuses_bad_headers_and_stamps_at_submission(app: Celery) -> None:
    guard(app)
    guard(app)
    with pytest.raises(Refused, match="bad_account"):
        app.send_task("t", headers={"skyhooks_account": "not good"})
    with pytest.raises(Refused, match="bad_account"):
        stamped(app, "not good").apply_async()
    app.send_task("t", headers={"skyhooks_account": "good"})

    assert account_in_broker(app) == "good"


@pytest.mark.parametrize(
    "fields",
    [
        {"skyhooks_account": "acme"},
        {"headers": {"skyhooks_account": "acme"}},
        {"stamps": {"skyhooks_account": ["acme"]}},
        {"options": {"headers": {"skyhooks_account": "acme"}}},
        {"options": {"skyhooks_account": "acme"}},
        {"skyhooks_account": "no good", "stamps": {"skyhooks_account": "acme"}},
    ],
)
def test_a_request_may_carry_it_in_several_places(fields: dict[str, Any]) -> None:
    assert account_of(Context(fields)) == "acme"


def test_a_request_without_a_usable_one_has_none() -> None:
    assert [account_of(request) for request in (None, Context(), Context(skyhooks_account="no good"))] == ["", "", ""]


def test_outside_of_everything_there_is_no_account() -> None:
    assert surrounding_account() == ""
