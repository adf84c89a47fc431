"""The data plane of a real node, from outside."""

import json
import time
from collections.abc import AsyncIterator

import pytest
import websockets

from gateway.node import Node
from skyhooks.signature import Secret, make_secret, signed_headers
from tests.unit.gateway.nodes import call, running, stream

DEMO = "/channels/accounts/demo"


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with running() as node:
        yield node


async def publish(node: Node, *values: object, path: str = DEMO) -> list[str]:
    return [(await call(node, "POST", path, json=value)).json()["position"] for value in values]


async def test_a_stream_says_where_it_stands_and_then_what_comes(node: Node) -> None:
    async with stream(node, DEMO) as lines:
        assert await lines.json() == {"position": "0"}
        (position,) = await publish(node, {"n": 1})
        assert await lines.json() == {"position": position, "data": {"n": 1}}
        assert b"Cache-Control: no-store" in lines.head
        assert b"X-Accel-Buffering: no" in lines.head


async def test_a_websocket_gets_one_message_a_publication_and_resumes(node: Node) -> None:
    url = node.url.replace("http", "ws") + DEMO
    async with websockets.connect(url) as socket:
        assert json.loads(await socket.recv()) == {"position": "0"}
        first, _ = await publish(node, 1, 2)
        assert [json.loads(await socket.recv())["data"] for _ in range(2)] == [1, 2]
    async with websockets.connect(f"{url}?since={first}") as socket:
        assert json.loads(await socket.recv()) == {"position": first}
        assert json.loads(await socket.recv())["data"] == 2


async def test_events_carry_ids_and_resume_from_the_last_one(node: Node) -> None:
    positions = await publish(node, 1, 2, 3)
    async with stream(node, DEMO, accept="text/event-stream", last_event_id=positions[0]) as lines:
        assert await lines.event() == {"id": positions[0]}
        assert await lines.event() == {"id": positions[1], "data": "2"}
        assert await lines.event() == {"id": positions[2], "data": "3"}


async def test_what_a_browser_saw_last_wins_over_the_url_it_repeats(node: Node) -> None:
    positions = await publish(node, 1, 2)
    headers = {"accept": "text/event-stream", "last_event_id": positions[0]}
    async with stream(node, f"{DEMO}?since=0", **headers) as lines:
        assert await lines.event() == {"id": positions[0]}
        assert (await lines.event())["data"] == "2"


async def test_raw_gives_the_bare_data(node: Node) -> None:
    await publish(node, {"n": 1})
    async with stream(node, f"{DEMO}?raw&since=0") as lines:
        assert await lines.json() == {"n": 1}


async def test_the_tail_is_a_page_that_grows(node: Node) -> None:
    async with stream(node, f"{DEMO}?view=tail", accept="text/html,*/*;q=0.8") as lines:
        assert b"Content-Type: text/html; charset=utf-8\r\n" in lines.head
        assert b"Content-Security-Policy: default-src 'none'; style-src 'sha256-" in lines.head
        assert await lines.line() == "<!doctype html>"
        while await lines.line() != "<ol>":
            pass
        assert "from here on" in await lines.line()
        (position,) = await publish(node, {"text": "<b>"})
        item = await lines.line()
        assert item.startswith("<li>")
        assert f">{position}</a>" in item
        assert "&lt;b&gt;" in item


async def test_the_tail_comes_in_parts_for_those_who_accept_them(node: Node) -> None:
    positions = await publish(node, 1, 2)
    async with stream(node, f"{DEMO}?view=tail&since={positions[0]}", accept="multipart/x-mixed-replace") as lines:
        assert b"Content-Type: multipart/x-mixed-replace; boundary=skyhooks\r\n" in lines.head
        found = []
        while len(found) < 2:
            if (line := await lines.line()).startswith("{"):
                found.append(json.loads(line))
        assert found == [{"position": positions[0]}, {"position": positions[1], "data": 2}]


async def test_a_tail_from_another_history_begins_with_its_page_and_tells_of_the_gap(node: Node) -> None:
    await publish(node, 1)
    async with stream(node, f"{DEMO}?view=tail&since=gone-7") as lines:
        assert await lines.line() == "<!doctype html>"
        while await lines.line() != "<ol>":
            pass
        assert "what came after gone-7, up to " in await lines.line()
        assert "<code>1</code>" in await lines.line()


async def test_raw_tails_have_no_positions(node: Node) -> None:
    (position,) = await publish(node, [1])
    for accept in ("text/html", "multipart/x-mixed-replace"):
        async with stream(node, f"{DEMO}?view=tail&raw&since=0", accept=accept) as lines:
            text = ""
            while "[1]" not in text:
                text += await lines.line()
            assert position not in text


async def test_an_ephemeral_channel_needs_no_log(node: Node) -> None:
    async with stream(node, "/channels/chat") as lines:
        await lines.json()
        answer = (await call(node, "POST", "/channels/chat", data=b'"hi"')).json()
        assert (answer["status"], answer["notified"]) == ("sent", 1)
        assert (await lines.json())["data"] == "hi"


async def test_text_is_published_as_a_json_string(node: Node) -> None:
    async with stream(node, "/channels/chat") as lines:
        await lines.json()
        await call(node, "POST", "/channels/chat", data=b'line "1"\nline 2', headers={"Content-Type": "text/plain"})
        assert (await lines.json())["data"] == 'line "1"\nline 2'


async def test_white_space_in_json_never_breaks_a_line(node: Node) -> None:
    async with stream(node, DEMO) as lines:
        await lines.json()
        await call(node, "POST", DEMO, data=b'{\n  "n": [1,\r\n 2]}\n')
        assert (await lines.json())["data"] == {"n": [1, 2]}


async def test_the_same_idempotency_key_is_published_once(node: Node) -> None:
    options = {"json": 1, "headers": {"Idempotency-Key": "k1"}}
    first, second = [(await call(node, "POST", DEMO, **options)).json() for _ in range(2)]
    assert (first["status"], second["status"]) == ("stored", "duplicate")
    assert first["position"] == second["position"]


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("POST", DEMO, {"data": b"{"}, 400, "bad_json"),
        ("POST", DEMO, {"data": b"\xff", "headers": {"Content-Type": "text/plain"}}, 400, "bad_text"),
        ("POST", DEMO, {"data": b"x", "headers": {"Content-Type": "image/png"}}, 415, "bad_content_type"),
        ("POST", DEMO, {"data": b"x" * (1024 * 1024 + 1)}, 413, "body_too_large"),
        ("POST", DEMO, {"data": b"1", "headers": {"Idempotency-Key": "x" * 201}}, 400, "bad_id"),
        ("POST", "/channels/a//b", {"data": b"1"}, 400, "bad_channel"),
        ("GET", "/channels/a%20b", {}, 400, "bad_channel"),
        ("GET", "/channels/" + "x" * 256, {}, 400, "bad_channel"),
        ("GET", f"{DEMO}?since=yesterday", {}, 400, "bad_position"),
        ("GET", f"{DEMO}?sinc=0", {}, 400, "bad_query"),
        ("GET", f"{DEMO}?raw", {"headers": {"Accept": "text/event-stream"}}, 400, "bad_query"),
        ("GET", f"{DEMO}?raw=maybe", {}, 400, "bad_query"),
        ("GET", f"{DEMO}?view=head", {}, 400, "bad_query"),
        ("TRACE", DEMO, {}, 405, "method_not_allowed"),
        ("DELETE", DEMO, {}, 405, "method_not_allowed"),
        ("GET", "/hooks", {}, 405, "method_not_allowed"),
        ("GET", DEMO, {"headers": {"Host": "evil.example"}}, 421, "bad_host"),
        ("POST", DEMO, {"data": b"1", "headers": {"Origin": "https://evil.example"}}, 403, "bad_origin"),
        ("GET", DEMO, {"headers": {"Origin": "null"}}, 403, "bad_origin"),
    ],
)
async def test_bad_requests_get_a_coded_answer(
    node: Node, method: str, path: str, options: dict, status: int, code: str
) -> None:
    response = await call(node, method, path, **options)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["Content-Type"] == "application/problem+json"


async def test_a_message_on_a_subscription_ends_it_with_a_code(node: Node) -> None:
    async with websockets.connect(node.url.replace("http", "ws") + DEMO) as socket:
        await socket.recv()
        await socket.send("hello?")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd.code == 1003


async def test_with_a_secret_nobody_speaks_for_an_account_without_it() -> None:
    text = make_secret(b"s" * 24)
    async with running(open=False, secret=text) as node:
        refused = await call(node, "POST", DEMO, json=1)
        assert (refused.status_code, refused.json()["code"]) == (401, "unsigned")
        assert (await call(node, "POST", "/channels/chat", json=1)).status_code == 200
        headers = signed_headers([Secret(text)], "m1", int(time.time()), b"1")
        assert (await call(node, "POST", DEMO, data=b"1", headers=headers)).status_code == 200


async def test_the_echo_is_there_only_when_it_was_asked_for(node: Node) -> None:
    assert (await call(node, "GET", "/echo")).status_code == 404
    async with running(echo="/echo") as node:
        assert (await call(node, "GET", "/echo")).status_code == 426
        async with websockets.connect(node.url.replace("http", "ws") + "/echo") as socket:
            await socket.send("ö" * 1000)
            assert await socket.recv() == "ö" * 1000


async def test_head_of_a_subscription_says_what_get_would_send(node: Node) -> None:
    for query, kind in (("", "application/x-ndjson"), ("?view=tail", "text/html; charset=utf-8")):
        response = await call(node, "HEAD", f"{DEMO}{query}")
        assert (response.status_code, response.headers["Content-Type"]) == (200, kind)
        assert "Content-Length" not in response.headers
    assert (await call(node, "HEAD", f"{DEMO}?view=x")).status_code == 400
