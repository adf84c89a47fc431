"""Callbacks by key: register, notify, unregister, in plain threads."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import structs

from skyhooks.adapters.container import Container, channel_of
from skyhooks.errors import Refused, SettingsError, StoreUnavailable
from tests.processes import eventually
from tests.unit.skyhooks.adapters.exchange import LIMITS, SECRET, URL, Switched, hook


class Bench:
    def __init__(self) -> None:
        self.store = Switched()
        self.container = Container(self.store, url=URL, limits=LIMITS)
        self.heard: list[Any] = []


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    bench.container.start()
    yield bench
    bench.store.away = False
    bench.container.stop()


def test_a_callback_hears_what_is_notified_for_its_account_and_only_that(bench: Bench) -> None:
    bench.container.register({"account_id": 7}, bench.heard.append)
    assert bench.container.notify({"account_id": "7"}, {"n": 1})["notified"] == 1
    assert bench.container.notify({"account_id": 8}, {"n": 2})["notified"] == 0
    answer = bench.container.notify({"account_id": 7}, {"n": 3})
    assert (answer["status"], answer["items"][0]["status"]) == ("ok", "stored")
    eventually(lambda: len(bench.heard) == 2)
    assert bench.heard == [{"n": 1}, {"n": 3}]


def test_a_task_can_be_listened_to(bench: Bench) -> None:
    bench.container.register({"task_id": "t-1"}, bench.heard.append)
    answer = bench.container.notify({"task_id": "t-1", "account_id": 7}, "x")
    assert set(answer["items"][0]["positions"]) == {"tasks/t-1", "accounts/7"}
    eventually(lambda: bench.heard == ["x"])


def test_whoever_takes_it_in_it_is_heard_once(bench: Bench) -> None:
    bench.container.register({"account_id": "acme"}, bench.heard.append)
    bench.store.say("by somebody else")
    post = bench.container.endpoint.answer("POST", "hooks", {}, hook(id="a"))
    assert b'"notified":1' in post.body
    assert bench.container.endpoint.answer("POST", "hooks", {}, hook(id="a")).status == 200
    bench.container.notify({"account_id": "acme"}, "by notify", "b")
    bench.container.notify({"account_id": "acme"}, "by notify", "b")
    bench.store.say("last")
    eventually(lambda: bench.heard[-1:] == ["last"])
    assert bench.heard == ["by somebody else", {"n": 1}, "by notify", "last"]


def test_what_this_program_takes_in_is_heard_without_waiting_for_the_next_look() -> None:
    store, heard = Switched(), []
    container = Container(store, limits=structs.replace(LIMITS, news_seconds=3600.0))
    container.start()
    container.register({"account_id": "acme"}, heard.append)
    container.notify({"account_id": "acme"}, "by notify")
    eventually(lambda: heard == ["by notify"])
    container.endpoint.answer("POST", "hooks", {}, hook())
    eventually(lambda: heard == ["by notify", {"n": 1}])
    container.stop()


def test_two_containers_on_one_store_both_hear(bench: Bench) -> None:
    other, heard = Container(bench.store, limits=LIMITS), []
    other.start()
    other.register({"account_id": 7}, heard.append)
    bench.container.register({"account_id": 7}, bench.heard.append)
    for n in range(20):
        (bench.container if n % 2 else other).notify({"account_id": 7}, n)
    eventually(lambda: len(heard) == len(bench.heard) == 20)
    assert heard == bench.heard == list(range(20))
    other.stop()


def test_an_unregistered_callback_hears_nothing_more(bench: Bench) -> None:
    callback = bench.heard.append
    bench.container.register({"account_id": 7}, callback)
    assert bench.container.unregister({"account_id": "7"}, callback)
    assert not bench.container.unregister({"account_id": "7"}, callback)
    assert bench.container.notify({"account_id": 7}, 1)["notified"] == 0
    late: list[Any] = []
    bench.container.register({"account_id": 7}, late.append, since="0")
    eventually(lambda: late == [1])
    assert bench.heard == []


def test_a_program_that_kept_its_position_goes_on_after_it(bench: Bench) -> None:
    kept: list[str] = []
    listener = bench.container.register({"account_id": 7}, lambda _, p: kept.append(p), with_position=True)
    for n in range(3):
        bench.container.notify({"account_id": 7}, n)
    eventually(lambda: len(kept) == 3)
    eventually(lambda: listener.position == kept[-1])
    again = Container(bench.store, limits=LIMITS)
    again.register({"account_id": 7}, bench.heard.append, since=kept[0])
    again.start()
    eventually(lambda: len(bench.heard) == 2)
    again.stop()
    assert bench.heard == [1, 2]


def test_one_that_raises_stops_no_other(bench: Bench) -> None:
    def broken(_: Any) -> None:
        raise RuntimeError("broken")

    listener = bench.container.register({"account_id": 7}, broken)
    bench.container.register({"account_id": 7}, bench.heard.append)
    for n in range(3):
        bench.container.notify({"account_id": 7}, n)
    eventually(lambda: (len(bench.heard), listener.failures) == (3, 3))


def test_a_callback_may_register_notify_and_unregister(bench: Bench) -> None:
    def first(data: int) -> None:
        bench.container.unregister({"account_id": 7}, first)
        bench.container.register({"account_id": 8}, bench.heard.append)
        bench.container.notify({"account_id": 8}, data + 1)

    bench.container.register({"account_id": 7}, first)
    bench.container.notify({"account_id": 7}, 1)
    eventually(lambda: bench.heard == [2])


def test_it_is_in_the_registry_while_it_runs() -> None:
    bench = Bench()
    bench.container.start()
    bench.container.register({"account_id": 7}, print)
    eventually(lambda: bench.store.hooks({"account_id": "7"}, "gateway"))
    bench.container.stop()
    assert (bench.store.hooks(), bench.store.leases("nodes/")) == ([], [])


def test_without_a_url_it_is_not_in_the_registry_and_hears_all_the_same() -> None:
    store, heard = Switched(), []
    container = Container(store, limits=LIMITS)
    container.start()
    container.register({"account_id": "acme"}, heard.append)
    store.say(1)
    eventually(lambda: heard == [1])
    container.stop()
    assert store.leased == 0


def test_after_stop_no_callback_is_called_and_no_thread_is_left() -> None:
    bench = Bench()
    before = set(threading.enumerate())
    bench.container.start()
    bench.container.register({"account_id": "acme"}, bench.heard.append)
    bench.container.stop()
    bench.store.say(1)
    assert set(threading.enumerate()) <= before
    assert bench.heard == []
    with pytest.raises(SettingsError, match="make another one"):
        bench.container.start()


def test_a_store_that_is_away_is_told_to_the_caller_and_changes_nothing(bench: Bench) -> None:
    bench.store.away = True
    with pytest.raises(StoreUnavailable):
        bench.container.register({"account_id": 7}, bench.heard.append)
    with pytest.raises(StoreUnavailable):
        bench.container.notify({"account_id": 7}, 1)
    bench.store.away = False
    assert bench.container.notify({"account_id": 7}, 1)["notified"] == 0


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({}, "bad_keys"),
        ({"user_id": 7}, "bad_keys"),
        ({"account_id": 7, "task_id": "t"}, "bad_keys"),
        ({"account_id": "a b"}, "bad_account"),
        ({"account_id": None}, "bad_account"),
        ({"task_id": "a/b"}, "bad_account"),
    ],
)
def test_keys_that_are_none_are_refused(bench: Bench, keys: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refused:
        bench.container.register(keys, print)
    assert refused.value.code == code


def test_a_position_or_data_that_is_none_is_refused(bench: Bench) -> None:
    with pytest.raises(Refused, match="bad_position"):
        bench.container.register({"account_id": 7}, print, since="yesterday")
    with pytest.raises(TypeError):
        bench.container.notify({"account_id": 7}, object())
    with pytest.raises(Refused, match="bad_keys"):
        bench.container.notify({}, 1)
    assert bench.store.data("accounts/7") == []


def test_keys_name_one_channel() -> None:
    assert channel_of({"account_id": 7}) == channel_of({"account_id": "7"}) == "accounts/7"
    assert channel_of({"task_id": "t"}) == "tasks/t"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "http://10.0.0.7:80/skyhooks"}, "secret"),
        ({"url": "localhost:80"}, "absolute"),
        ({"url": "http://u:p@127.0.0.1/"}, "password"),
        ({"secret": "guess"}, "whsec_"),
        ({"node_id": "a b"}, "node's id"),
    ],
)
def test_settings_that_cannot_be_used_are_said(options: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Container(Switched(), **options)  # type: ignore[arg-type]


def test_with_a_secret_others_may_reach_it() -> None:
    Container(Switched(), url="http://10.0.0.7:80/skyhooks", secret=SECRET)
    Container(Switched(), url="http://[::1]:80/skyhooks")
