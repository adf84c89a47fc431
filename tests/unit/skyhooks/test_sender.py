"""What each answer of a gateway leads to. The gateways speak real HTTP; what they say is scripted."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from skyhooks.errors import StoreUnavailable
from skyhooks.gateways import Gateways
from skyhooks.parcel import Contents, Parcel
from skyhooks.publication import Draft, Outcome, TaskMark
from skyhooks.sender import BATCH_BYTES, Sender, Wire
from skyhooks.signature import Secret, make_secret, verify
from skyhooks.store.memory import MemoryStore
from skyhooks.webhook import encode_webhook, parse_webhook
from tests.scripted_gateway import Received, Reply, ScriptedGateway, accept

SECRET = make_secret(bytes(range(32)))
END = TaskMark("run", 0, "SUCCESS")


def parcel(name: str, slot: str = "", account: str = "acme", size: int = 1) -> Parcel:
    data = {"task_id": name, "task": "x", "state": "SUCCESS", "at": 1.0, "result": "r" * size, "end": True}
    keys: dict[str, str | int] = {"task_id": name, "account_id": account}
    return Parcel(Contents(encode_webhook(keys, data, f"{name}:end", END)), slot)


class World:
    """A store, gateways that are registered in it, and a sender with timeouts of a moment."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.gateways: dict[str, ScriptedGateway] = {}
        self.writable = True
        wire = Wire((Secret(SECRET),), connect_timeout=1.0, read_timeout=0.5)
        self.sender = Sender(wire, Gateways(self.store, signing=True), self.append)

    def gateway(self, script: Callable[[Received], Reply] = accept) -> ScriptedGateway:
        made = ScriptedGateway(script)
        name = f"n{len(self.gateways)}"
        self.gateways[f"{made.url}/hooks"] = made
        self.store.lease(f"nodes/{name}", name, 60, f'{{"url": "{made.url}"}}')
        return made

    def in_order(self, account: str = "acme") -> list[ScriptedGateway]:
        """The gateways in the order in which this account's results try them."""
        return [self.gateways[url] for url in Gateways(self.store, signing=True).choose(account, "").urls]

    def append(self, drafts: Sequence[Draft]) -> Sequence[Outcome]:
        if not self.writable:
            raise StoreUnavailable("read-only")
        return self.store.append(drafts)

    def logged(self, account: str = "acme") -> list[str]:
        return [one.id for one in self.store.read(f"accounts/{account}", 0).publications]


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    for gateway in made.gateways.values():
        gateway.close()


def test_one_webhook_is_posted_as_json_and_signed(world: World) -> None:
    gateway = world.gateway()
    one = parcel("t")

    world.sender.publish([one])

    assert one.published
    request = gateway.received[0]
    assert (request.headers["content-type"], request.body) == ("application/json", one.webhook)
    stamp = int(request.headers["webhook-timestamp"])
    assert verify((Secret(SECRET),), request.headers, request.body, stamp).startswith("msg_")
    assert world.logged() == [], "nothing was written around the gateway"


def test_several_are_one_signed_batch_in_order(world: World) -> None:
    gateway = world.gateway()
    parcels = [parcel(f"t{number}") for number in range(5)]

    world.sender.publish(parcels)

    assert gateway.ids == [[f"t{number}:end" for number in range(5)]]
    assert gateway.received[0].headers["content-type"] == "application/x-ndjson"
    assert all(one.published for one in parcels)


def test_the_same_body_has_the_same_id_on_every_attempt(world: World) -> None:
    gateway = world.gateway(lambda received: Reply(500))
    world.writable = False
    one = parcel("t")

    world.sender.publish([one])
    world.sender.publish([one])

    assert len({request.headers["webhook-id"] for request in gateway.received}) == 1


def test_a_batch_above_the_body_limit_is_cut(world: World) -> None:
    gateway = world.gateway()
    parcels = [parcel(f"t{number}", size=BATCH_BYTES // 3) for number in range(4)]

    world.sender.publish(parcels)

    assert [len(ids) for ids in gateway.ids] == [2, 2]


def test_the_gateway_of_the_account_is_tried_first_and_alone(world: World) -> None:
    for _ in range(3):
        world.gateway()

    world.sender.publish([parcel("a"), parcel("b")])

    assert [len(gateway.received) for gateway in world.in_order()] == [1, 0, 0]


@pytest.mark.parametrize("status", [400, 404, 405, 408, 413, 422, 429, 500, 502, 503])
def test_a_gateway_that_cannot_take_it_is_followed_by_the_next(world: World, status: int) -> None:
    world.gateway()
    world.gateway()
    first, second = world.in_order()
    first.script = lambda received: Reply(status)
    one = parcel("t")

    world.sender.publish([one])

    assert (len(first.received), second.ids) == (1, [["t:end"]])
    assert one.published


def test_a_redirect_is_not_followed(world: World) -> None:
    elsewhere = ScriptedGateway()
    world.gateway(lambda received: Reply(307, headers={"Location": f"{elsewhere.url}/hooks"}))

    world.sender.publish([parcel("t")])
    elsewhere.close()

    assert elsewhere.received == []
    assert world.logged() == ["t:end"]


def test_a_gateway_that_hangs_or_is_gone_is_followed_by_the_next(world: World) -> None:
    for _ in range(3):
        world.gateway()
    gone, hanging, good = world.in_order()
    gone.close()
    enough = threading.Event()

    def hang(received: Received) -> Reply:
        enough.wait(30)
        return Reply(500)

    hanging.script = hang
    one = parcel("t")

    world.sender.publish([one])
    enough.set()

    assert one.published
    assert good.ids == [["t:end"]]


def test_a_gateway_that_failed_is_not_asked_again_at_once(world: World) -> None:
    world.gateway()
    world.gateway()
    first, second = world.in_order()
    first.script = lambda received: Reply(503, headers={"Retry-After": "20"})

    world.sender.publish([parcel("a")])
    world.sender.publish([parcel("b")])

    assert (len(first.received), len(second.received)) == (1, 2)


def test_without_a_gateway_the_log_is_written_directly(world: World) -> None:
    parcels = [parcel("a"), parcel("b")]

    world.sender.publish(parcels)

    assert all(one.published for one in parcels)
    assert world.logged() == ["a:end", "b:end"]


def test_when_every_gateway_fails_the_log_is_written_directly(world: World) -> None:
    world.gateway(lambda received: Reply(500))

    world.sender.publish([parcel("a")])

    assert world.logged() == ["a:end"]


def test_when_the_log_fails_too_the_result_stays_and_it_is_said_once(world: World) -> None:
    world.writable = False
    one = parcel("a")

    with capture_logs() as logs:
        world.sender.publish([one])
        world.sender.publish([one])

    assert not one.published
    assert [entry["event"] for entry in logs] == ["store_unwritable"]
    world.writable = True
    world.sender.publish([one])
    assert one.published


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_secret_is_said_and_not_worked_around(world: World, status: int) -> None:
    world.gateway(lambda received: Reply(status, {"code": "bad_signature", "detail": "no match"}))
    one = parcel("a")

    with capture_logs() as logs:
        world.sender.publish([one])
        world.sender.publish([one])

    assert not one.published
    assert world.logged() == []
    assert [entry["event"] for entry in logs] == ["secret_refused"]
    assert "no match" in logs[0]["detail"]


def test_without_a_secret_a_gateway_that_is_not_open_is_not_talked_to(world: World) -> None:
    gateway = world.gateway()
    blind = Sender(Wire((), 1.0, 0.5), Gateways(world.store, signing=False), world.append)
    one = parcel("a")

    with capture_logs() as logs:
        blind.publish([one])

    assert (gateway.received, one.published, world.logged()) == ([], False, [])
    assert [entry["event"] for entry in logs] == ["secret_missing"]


@pytest.mark.parametrize("status", ["stored", "duplicate", "superseded"])
def test_whatever_the_log_decided_settles_it(world: World, status: str) -> None:
    world.gateway(lambda received: _items(received, lambda _: {"status": status}))
    one = parcel("a")

    world.sender.publish([one])

    assert one.published


def test_a_refused_result_becomes_an_error_and_the_others_are_untouched(world: World) -> None:
    def refuse(received: Received) -> Reply:
        def item(webhook: Any) -> dict[str, str]:
            bad = webhook.id == "bad:end" and b"Refused" not in bytes(webhook.data)
            return {"status": "refused", "code": "too_long", "detail": "no"} if bad else {"status": "stored"}

        return _items(received, item)

    gateway = world.gateway(refuse)
    good, bad = parcel("good"), parcel("bad")

    world.sender.publish([good, bad])

    assert gateway.ids == [["good:end", "bad:end"], ["bad:end"]]
    error = parse_webhook(gateway.received[1].body).data
    assert b'"error":{"type":"Refused","message":"no","code":"too_long"}' in bytes(error)
    assert b'"result"' not in bytes(error)
    assert good.published
    assert bad.published


def test_a_result_that_a_bridged_channel_does_not_take_becomes_an_error(world: World) -> None:
    gateway = world.gateway(lambda received: _items(received, lambda _: {"status": "fenced"}))
    one = parcel("a")

    world.sender.publish([one])

    assert one.published
    assert b'"code":"fenced"' in gateway.received[1].body


def test_an_error_that_is_refused_as_well_is_given_up(world: World) -> None:
    gateway = world.gateway(lambda received: Reply(400, {"code": "bad_json", "detail": "no"}))
    one = parcel("a")

    world.sender.publish([one])

    assert one.published
    assert len(gateway.received) == 2


def test_refused_progress_is_given_up_at_once(world: World) -> None:
    gateway = world.gateway(lambda received: Reply(400, {"code": "bad_json", "detail": "no"}))
    one = parcel("a", slot="a:progress")

    world.sender.publish([one])

    assert one.published
    assert len(gateway.received) == 1


@pytest.mark.parametrize("status", [400, 413])
def test_a_batch_refused_as_a_whole_is_cut_until_the_culprit_is_known(world: World, status: int) -> None:
    def picky(received: Received) -> Reply:
        bad = any(one.id == "t3:end" and b"Refused" not in bytes(one.data) for one in received.webhooks)
        return Reply(status, {"code": "too_large", "detail": "no"}) if bad else accept(received)

    gateway = world.gateway(picky)
    parcels = [parcel(f"t{number}") for number in range(8)]

    world.sender.publish(parcels)

    assert all(one.published for one in parcels)
    assert [ids for ids in gateway.ids if ids == ["t3:end"]] == [["t3:end"], ["t3:end"]]
    assert b"too_large" in gateway.received[-1].body


@pytest.mark.parametrize("body", [b"<html>", {"status": "ok", "items": []}, {"items": [{}]}, []])
def test_an_answer_that_does_not_fit_settles_nothing_there(world: World, body: Any) -> None:
    world.gateway(lambda received: Reply(200, body))
    world.writable = False
    one = parcel("a")

    world.sender.publish([one])

    assert not one.published


def test_what_the_log_itself_refuses_becomes_an_error(world: World) -> None:
    world.store.append([Draft(id="bridge", channels=("accounts/acme",), data=b"1", fence=5)])
    one = parcel("a")

    world.sender.publish([one])

    assert one.published
    assert world.logged() == ["bridge"]


def test_proxies_of_the_environment_do_not_apply(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    world.gateway()
    one = parcel("a")

    world.sender.publish([one])

    assert one.published
    assert world.logged() == []


def _items(received: Received, item: Callable[[Any], dict[str, str]]) -> Reply:
    return Reply(200, {"status": "ok", "notified": 0, "items": [item(one) for one in received.webhooks]})
