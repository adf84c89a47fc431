"""The client protocol on a real node, as a client sees it; and a session on a connection that a test holds up."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gateway.connect.session import GARBAGE
from gateway.node import Node
from skyhooks.signature import make_secret
from tests.unit.gateway.connect.stage import Stage
from tests.unit.gateway.nodes import call, running
from tests.unit.gateway.stores import draft, until

DEMO = "accounts/demo"


class Client:
    """A connection to a node that keeps apart what is answered and what comes from channels."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.notices: list[dict[str, Any]] = []
        self._last = 0

    async def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send a command, and give its answer: what it is answered, or the problem."""
        command_id = await self.send(kind, **fields)
        while "id" not in (message := await self.message()):
            self.notices.append(message)
        assert message["id"] == command_id
        return message.get("ok") if "ok" in message else message["error"]

    async def send(self, kind: str, **fields: Any) -> int:
        self._last += 1
        await self.socket.send(json.dumps({"type": kind, "id": self._last, **fields}))
        return self._last

    async def notice(self) -> dict[str, Any]:
        """What a channel says next."""
        if self.notices:
            return self.notices.pop(0)
        message = await self.message()
        assert "id" not in message, message
        return message

    async def message(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            return json.loads(await self.socket.recv())


@asynccontextmanager
async def client(node: Node) -> AsyncIterator[Client]:
    async with connect(f"{node.url.replace('http', 'ws')}/connect") as socket:
        yield Client(socket)


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with running() as node:
        yield node


async def publish(node: Node, channel: str, *values: object) -> list[str]:
    return [(await call(node, "POST", f"/channels/{channel}", json=value)).json()["position"] for value in values]


async def test_several_channels_come_over_one_connection_each_under_its_name(node: Node) -> None:
    async with client(node) as page:
        assert await page.ask("subscribe", channel=DEMO) == {"channel": DEMO}
        assert await page.ask("subscribe", channel="chat") == {"channel": "chat"}
        stands = sorted([await page.notice(), await page.notice()], key=lambda one: one["channel"])
        assert stands[0] == {"channel": DEMO, "position": "0"}
        (first,) = await publish(node, DEMO, {"n": 1})
        (second,) = await publish(node, "chat", "hi")
        assert await page.notice() == {"channel": DEMO, "position": first, "data": {"n": 1}}
        assert await page.notice() == {"channel": "chat", "position": second, "data": "hi"}


async def test_a_subscription_goes_on_from_its_position(node: Node) -> None:
    positions = await publish(node, DEMO, 1, 2, 3)
    async with client(node) as page:
        await page.ask("subscribe", channel=DEMO, since=positions[0])
        assert await page.notice() == {"channel": DEMO, "position": positions[0]}
        assert [(await page.notice())["data"] for _ in range(2)] == [2, 3]


async def test_what_is_lost_is_told_of_with_from_and_to(node: Node) -> None:
    await publish(node, DEMO, 1)
    async with client(node) as page:
        await page.ask("subscribe", channel=DEMO, since="gone-7")
        gap = await page.notice()
        assert (gap["channel"], gap["gap"]["from"]) == (DEMO, "gone-7")
        assert (await page.notice())["data"] == 1


async def test_after_unsubscribe_nothing_more_comes(node: Node) -> None:
    async with client(node) as page:
        await page.ask("subscribe", channel="chat")
        await page.notice()
        assert await page.ask("unsubscribe", channel="chat") == {"channel": "chat"}
        assert node.subscriptions.subscribers("chat") == 0
        await publish(node, "chat", 1)
        assert await page.ask("ping") == {}
        assert page.notices == []
        assert (await page.ask("unsubscribe", channel="chat"))["code"] == "not_subscribed"


async def test_what_is_published_is_committed_when_it_is_answered(node: Node) -> None:
    async with client(node) as page:
        stored = await page.ask("publish", channel=DEMO, data={"n": [1, None]}, key="k")
        assert (stored["status"], stored["id"], stored["channel"]) == ("stored", "k", DEMO)
        head = await node.store.head(DEMO)
        assert head is not None
        assert str(head.position) == stored["position"]
        again = await page.ask("publish", channel=DEMO, data="other", key="k")
        assert (again["status"], again["position"]) == ("duplicate", stored["position"])
        assert (await page.ask("publish", channel="chat", data=0))["status"] == "sent"


async def test_what_is_published_in_one_go_keeps_its_order(node: Node) -> None:
    async with client(node) as page:
        await page.ask("subscribe", channel=DEMO)
        await page.notice()
        ids = [await page.send("publish", channel=DEMO, data=number) for number in range(100)]
        messages = [await page.message() for _ in range(200)]
        assert [one["id"] for one in messages if "id" in one] == ids
        assert [one["data"] for one in messages if "data" in one] == list(range(100))


async def test_presence_counts_those_who_follow(node: Node) -> None:
    async with client(node) as page, client(node) as other:
        await page.ask("subscribe", channel="chat")
        await other.ask("subscribe", channel="chat")
        present = await page.ask("presence", channel="chat")
        assert (present["subscribers"], present["nodes"]) == (2, {node.id: 2})


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("subscribe", {"channel": "a//b"}, "bad_channel"),
        ("subscribe", {"channel": DEMO, "since": "yesterday"}, "bad_position"),
        ("subscribe", {"channel": "chat"}, "already_subscribed"),
        ("unsubscribe", {"channel": "a//b"}, "bad_channel"),
        ("presence", {"channel": ""}, "bad_channel"),
        ("publish", {"channel": "", "data": 1}, "bad_channel"),
        ("publish", {"channel": DEMO, "data": 1, "key": "ö"}, "bad_id"),
        ("dance", {}, "bad_command"),
    ],
)
async def test_a_refused_command_is_answered_and_changes_nothing(
    node: Node, kind: str, fields: dict[str, Any], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with client(node) as page:
        await page.ask("subscribe", channel="chat")
        assert (await page.ask(kind, **fields))["code"] == code
        assert await page.ask("ping") == {}
        assert node.subscriptions.hub.subscribers == 1
        assert await node.store.head(DEMO) is None
    assert "Traceback" not in capsys.readouterr().out


async def test_what_is_not_json_is_answered_without_an_id(node: Node) -> None:
    async with client(node) as page:
        await page.socket.send("{")
        message = await page.message()
        assert (message["id"], message["error"]["code"]) == (None, "bad_json")


async def test_binary_messages_end_the_connection(node: Node) -> None:
    async with client(node) as page:
        await page.socket.send(b"\x00")
        with pytest.raises(ConnectionClosed) as closed:
            await page.message()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1003


async def test_where_webhooks_are_signed_nobody_speaks_for_accounts_here() -> None:
    async with running(open=False, secret=make_secret(b"s" * 24)) as node, client(node) as page:
        assert (await page.ask("publish", channel=DEMO, data=1))["code"] == "unsigned"
        assert (await page.ask("publish", channel="tasks/t", data=1))["code"] == "unsigned"
        assert (await page.ask("publish", channel="chat", data=1))["status"] == "sent"
        assert await node.store.head(DEMO) is None


async def test_the_limits_are_settings() -> None:
    async with running(session_subscriptions=1) as node, client(node) as page:
        await page.ask("subscribe", channel="one")
        assert (await page.ask("subscribe", channel="two"))["code"] == "too_many_subscriptions"
        await page.ask("unsubscribe", channel="one")
        assert await page.ask("subscribe", channel="two") == {"channel": "two"}


async def test_a_client_that_leaves_leaves_its_channels(node: Node) -> None:
    async with client(node) as page:
        await page.ask("subscribe", channel=DEMO)
        await page.ask("subscribe", channel="chat")
        assert node.subscriptions.hub.subscribers == 2
    await until(lambda: node.subscriptions.hub.subscribers == 0)


async def test_a_draining_node_takes_nobody_new(node: Node) -> None:
    async with client(node) as page:
        node._draining = True
        assert (await page.ask("subscribe", channel=DEMO))["code"] == "draining"
        assert (await call(node, "GET", "/connect")).json()["code"] == "draining"


async def test_a_stopping_node_sends_its_clients_away_with_a_code_that_invites_them_back() -> None:
    async with running() as node, client(node) as page:
        await page.ask("subscribe", channel=DEMO)
        await page.notice()
        stopping = asyncio.create_task(node.stop())
        with pytest.raises(ConnectionClosed) as closed:
            await page.message()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code in (1001, 1012)
        await stopping


# -- a session by itself, on a connection that takes as much as a test lets it


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    stage.session.closed()
    await stage.subscriptions.close()


async def test_a_full_connection_holds_each_channel_where_it_is(stage: Stage) -> None:
    for name in ("accounts/a", "accounts/b"):
        stage.say("subscribe", channel=name)
    await until(lambda: sum("position" in one for one in stage.wire.messages) == 2)
    stage.wire.room = 3
    for number in range(10):
        for name in ("accounts/a", "accounts/b"):
            stage.say("publish", channel=name, data=number)
    await stage.settled()
    assert len(stage.wire.data("accounts/a")) + len(stage.wire.data("accounts/b")) == 3
    while len(stage.wire.data("accounts/a")) + len(stage.wire.data("accounts/b")) < 20:
        stage.wire.room = 1
        stage.session.drained()
        await asyncio.sleep(0.001)
    assert stage.wire.data("accounts/a") == stage.wire.data("accounts/b") == list(range(10))


async def test_a_channel_with_a_new_history_ends_its_subscription_alone(stage: Stage) -> None:
    stage.say("publish", channel="accounts/a", data=1)
    for name in ("accounts/a", "accounts/b"):
        stage.say("subscribe", channel=name)
    await until(lambda: sum("position" in one for one in stage.wire.messages) == 2)
    channel = stage.subscriptions.hub.channels["accounts/a"]
    channel._restart("new")
    ended = stage.wire.messages[-1]
    assert (ended["channel"], ended["ended"]["code"]) == ("accounts/a", 1012)
    assert stage.wire.closed_with is None
    stage.say("publish", channel="accounts/b", data=2)
    await until(lambda: stage.wire.data("accounts/b") == [2])
    stage.say("subscribe", channel="accounts/a")
    await until(lambda: stage.wire.messages[-1].get("channel") == "accounts/a")
    assert stage.wire.messages[-2] == {"id": 1, "ok": {"channel": "accounts/a"}}


async def test_publications_that_wait_together_are_committed_together(stage: Stage) -> None:
    for number in range(50):
        stage.say("publish", channel="accounts/a", data=number)
    await stage.settled()
    assert stage.store.batches == [50]


async def test_a_store_that_is_away_is_said_and_nothing_is_acknowledged(stage: Stage) -> None:
    stage.store.away = True
    stage.say("publish", channel="accounts/a", data=1)
    stage.say("publish", channel="chat", data=1)
    stage.say("subscribe", channel="accounts/a", since="e-1")
    await stage.settled()
    assert [one.get("error", one.get("ok", {})).get("code", "sent") for one in stage.wire.messages] == [
        "store_unavailable",
        "sent",
        "store_unavailable",
    ]


@pytest.mark.parametrize("bounds", [{"commands": 3}, {"size": 150}])
async def test_while_many_commands_wait_no_more_is_read(bounds: dict[str, int]) -> None:
    stage = Stage(**bounds)
    stage.store.gate.clear()
    stage.say("publish", channel="accounts/a", data=0)
    await asyncio.sleep(0.05)
    stage.say("publish", channel="accounts/a", data=1)
    assert not stage.wire.held
    stage.say("publish", channel="accounts/a", data=2)
    stage.say("publish", channel="accounts/a", data=3)
    assert stage.wire.held
    stage.store.gate.set()
    await stage.settled()
    assert not stage.wire.held
    assert [one.data for one in stage.store.read("accounts/a", 0).publications] == [b"0", b"1", b"2", b"3"]
    assert len(stage.wire.messages) == 4


async def test_a_client_that_talks_nonsense_is_sent_away(stage: Stage) -> None:
    for _ in range(GARBAGE - 1):
        stage.session.received("nonsense")
    stage.say("ping")
    stage.session.received("nonsense")
    assert stage.wire.closed_with is None
    for _ in range(GARBAGE - 1):
        stage.session.received("nonsense")
    assert stage.wire.closed_with == 1008


async def test_what_is_refused_is_one_line_and_a_count(stage: Stage) -> None:
    with capture_logs() as lines:
        for _ in range(5):
            stage.session.received("nonsense")
        stage.session.closed()
    assert [(line["event"], line.get("count")) for line in lines] == [
        ("command_refused", None),
        ("commands_refused", 5),
    ]


async def test_what_waits_when_the_client_leaves_is_not_carried_out_and_what_runs_is(stage: Stage) -> None:
    stage.store.gate.clear()
    stage.say("publish", channel="accounts/a", data=0)
    await asyncio.sleep(0.05)
    stage.say("publish", channel="accounts/a", data=1)
    stage.session.closed()
    stage.store.gate.set()
    await stage.settled()
    assert [one.data for one in stage.store.read("accounts/a", 0).publications] == [b"0"]


async def test_a_client_that_leaves_while_it_subscribes_is_not_taken_in(stage: Stage) -> None:
    stage.store.append([draft("p1", "accounts/a")])
    stage.say("subscribe", channel="accounts/a", since="other-1")
    await asyncio.sleep(0)
    stage.session.closed()
    await stage.settled()
    assert stage.subscriptions.subscribers("accounts/a") == 0


async def test_a_fault_of_ours_is_answered_and_the_connection_goes_on(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    stage.broken = True
    stage.say("publish", channel="accounts/a", data=1)
    stage.say("presence", channel="accounts/a")
    stage.say("ping")
    await stage.settled()
    assert [one.get("error", {}).get("code") for one in stage.wire.messages] == ["internal_error"] * 2 + [None]


async def test_closing_gives_up_on_what_takes_too_long(stage: Stage) -> None:
    stage.store.gate.clear()
    stage.say("publish", channel="accounts/a", data=0)
    await asyncio.sleep(0.05)
    await stage.terms.close(0.01)
    await asyncio.sleep(0.01)
    assert not stage.terms.tasks
    stage.store.gate.set()
