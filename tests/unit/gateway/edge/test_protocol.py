"""HTTP on a real connection: order, limits in time, clients that leave, and what a refused client sees."""

import asyncio
from typing import cast

import pytest

from gateway.edge.request import Answer, Request, Response
from tests.unit.gateway.edge.client import Client, get, post
from tests.unit.gateway.edge.conftest import Connect, Serve, eventually


async def mirror(request: Request) -> Answer:
    return Response(body=f"{request.method} {request.query.get('n', '')} ".encode() + request.body)


async def test_requests_follow_each_other_on_one_connection(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve({"/": mirror}))
    for n in range(3):
        client.send(post(f"/?n={n}", b"abc"))
        assert (await client.answer()).body == b"POST %d abc" % n


async def test_pipelined_requests_are_answered_in_order(serve: Serve, connect: Connect) -> None:
    async def later(request: Request) -> Answer:
        await asyncio.sleep(0.002 * (int(request.query["n"]) % 3))
        return await mirror(request)

    client = await connect(await serve({"/": later}, pipeline_requests=4))
    client.send(b"".join(get(f"/?n={n}") if n % 2 else post(f"/?n={n}", b"x" * n) for n in range(50)))
    for n in range(50):
        assert (await client.answer()).body.split()[1] == str(n).encode()


async def test_a_full_pipeline_is_read_no_further(serve: Serve, connect: Connect) -> None:
    release, seen = asyncio.Event(), 0

    async def wait(request: Request) -> Answer:
        nonlocal seen
        seen += 1
        await release.wait()
        return Response()

    edge = await serve({"/": wait}, pipeline_requests=2, body_bytes=1_000_000)
    client = await connect(edge)
    big = post("/", b"x" * 500_000)
    client.send(big * 60)
    unsent = cast(asyncio.Transport, client.writer.transport).get_write_buffer_size
    before = -1
    while before != unsent():
        before = unsent()
        await asyncio.sleep(0.1)
    assert before > 5_000_000
    assert seen == 1
    release.set()
    for _ in range(60):
        assert (await client.answer()).status == 200


async def test_a_request_may_come_byte_by_byte(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve({"/": mirror}))
    for byte in post("/?n=1", b"abc"):
        client.send(bytes([byte]))
        await client.writer.drain()
        await asyncio.sleep(0)
    assert (await client.answer()).body == b"POST 1 abc"


async def test_http_1_0_is_answered_and_closed(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve({"/": mirror}))
    client.send(b"GET /?n=1 HTTP/1.0\r\n\r\n")
    answer = await client.answer()
    assert (answer.body, answer.headers["connection"]) == (b"GET 1 ", "close")
    assert await client.rest() == b""


async def test_http_1_0_keeps_alive_when_asked(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve({"/": mirror}))
    for _ in range(2):
        client.send(b"GET /?n=1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (await client.answer()).headers["connection"] == "keep-alive"


async def test_a_client_is_told_to_go_on_with_its_body(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve({"/": mirror}))
    client.send(get("/?n=1", "Content-Length: 3", "Expect: 100-continue", method="POST"))
    assert (await client.answer()).status == 100
    client.send(b"abc")
    assert (await client.answer()).body == b"POST 1 abc"


async def test_leave_to_go_on_waits_for_the_answers_before_it(serve: Serve, connect: Connect) -> None:
    release = asyncio.Event()

    async def wait(request: Request) -> Answer:
        await release.wait()
        return await mirror(request)

    client = await connect(await serve({"/wait": wait, "/": mirror}))
    client.send(get("/wait?n=0") + get("/?n=1", "Content-Length: 3", "Expect: 100-continue", method="POST"))
    release.set()
    assert (await client.answer()).body == b"GET 0 "
    assert (await client.answer()).status == 100
    client.send(b"abc")
    assert (await client.answer()).body == b"POST 1 abc"


async def test_a_body_above_the_limit_is_refused_before_it_is_sent(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve({"/": mirror}, body_bytes=10))
    client.send(get("/", "Content-Length: 11", "Expect: 100-continue", method="POST"))
    answer = await client.answer()
    assert (answer.status, answer.code, answer.headers["connection"]) == (413, "body_too_large", "close")
    assert await client.rest() == b""


async def test_a_client_that_goes_on_sending_still_reads_why_it_was_refused(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve({"/": mirror}, body_bytes=10, linger_seconds=30.0))
    client.send(get("/", "Content-Length: 8000000", method="POST") + b"x" * 8_000_000)
    await client.writer.drain()
    assert (await client.answer()).code == "body_too_large"
    assert await client.rest() == b""


async def test_a_client_that_never_stops_is_cut(serve: Serve, connect: Connect) -> None:
    edge = await serve({"/": mirror}, linger_seconds=0.1)
    client = await connect(edge)
    client.send(b"nonsense\r\n\r\n")
    assert (await client.answer()).status == 501
    await eventually(lambda: edge.open == 0)


async def test_a_refused_request_comes_in_its_turn_and_is_the_last(
    serve: Serve, connect: Connect, lines: list[dict[str, object]]
) -> None:
    client = await connect(await serve({"/": mirror}))
    client.send(get("/?n=1") + b"GET / HTTP/1.1\r\n\r\n" + get("/?n=2"))
    assert (await client.answer()).body == b"GET 1 "
    assert (await client.answer()).code == "bad_host"
    assert await client.rest() == b""
    (line,) = (line for line in lines if line["event"] == "request_refused")
    assert (line["code"], line["log_level"]) == ("bad_host", "info")
    assert "exc_info" not in line


@pytest.mark.parametrize(
    ("sent", "part"), [(b"GET / HTTP/1.1\r\nHo", "headers"), (get("/", "Content-Length: 2", method="POST"), "body")]
)
async def test_a_request_that_does_not_come_to_its_end_times_out(
    serve: Serve, connect: Connect, sent: bytes, part: str
) -> None:
    client = await connect(await serve({"/": mirror}, header_seconds=0.1, body_seconds=0.1))
    client.send(get("/?n=1") + sent)
    assert (await client.answer()).body == b"GET 1 "
    answer = await client.answer()
    assert (answer.status, answer.code) == (408, "timeout")
    assert part in answer.body.decode()


async def test_trickling_bytes_do_not_move_the_limit(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve({"/": mirror}, header_seconds=0.2))

    async def trickle() -> None:
        while True:
            client.send(b"G")
            await asyncio.sleep(0.01)

    client.send(b"GET /")
    task = asyncio.create_task(trickle())
    assert (await client.answer()).code == "timeout"
    task.cancel()


@pytest.mark.parametrize("before", [b"", get("/?n=1")])
async def test_an_idle_connection_is_closed_without_a_word(serve: Serve, connect: Connect, before: bytes) -> None:
    client = await connect(await serve({"/": mirror}, idle_seconds=0.1))
    if before:
        client.send(before)
        await client.answer()
    assert await client.rest() == b""


async def test_a_slow_handler_is_no_idle_connection(serve: Serve, connect: Connect) -> None:
    release = asyncio.Event()

    async def wait(request: Request) -> Answer:
        await release.wait()
        return Response(body=b"late")

    client = await connect(await serve({"/": wait}, idle_seconds=0.1, header_seconds=0.1))
    client.send(get())
    asyncio.get_running_loop().call_later(0.5, release.set)
    assert (await client.answer()).body == b"late"


class Watched:
    """A handler that waits, and notes how it ended."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.release = asyncio.Event()
        self.ended = ""

    async def __call__(self, request: Request) -> Answer:
        self.began.set()
        try:
            await self.release.wait()
            self.ended = "done"
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        return Response(body=b"late")


async def test_a_client_that_leaves_ends_the_wait_of_its_get(serve: Serve) -> None:
    watched = Watched()
    edge = await serve({"/": watched}, half_closed_seconds=0.1)
    client = await Client.connect(edge.port)
    client.send(get())
    await watched.began.wait()
    await client.close()
    await eventually(lambda: watched.ended)
    assert watched.ended == "cancelled"
    await eventually(lambda: edge.open == 0)


@pytest.mark.parametrize("request_bytes", [post("/", b"abc"), post("/", b""), get(method="DELETE")])
async def test_a_client_that_leaves_does_not_cut_a_write_in_the_middle(serve: Serve, request_bytes: bytes) -> None:
    watched = Watched()
    edge = await serve({"/": watched}, half_closed_seconds=0.1)
    client = await Client.connect(edge.port)
    client.send(request_bytes)
    await watched.began.wait()
    client.reset()
    await eventually(lambda: edge.open == 0)
    watched.release.set()
    await eventually(lambda: watched.ended)
    assert watched.ended == "done"


async def test_a_client_that_closed_its_sending_side_is_still_answered(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve({"/": mirror}))
    client.send(get("/?n=1") + get("/?n=2"))
    client.writer.write_eof()
    assert (await client.answer()).body == b"GET 1 "
    assert (await client.answer()).body == b"GET 2 "
    assert await client.rest() == b""


async def test_half_a_request_is_no_request(serve: Serve, connect: Connect) -> None:
    edge = await serve({"/": mirror})
    client = await connect(edge)
    client.send(post("/", b"abc")[:-1])
    client.writer.write_eof()
    assert await client.rest() == b""
    await eventually(lambda: edge.open == 0)


async def test_a_client_that_does_not_read_its_answer_is_cut(serve: Serve, connect: Connect) -> None:
    async def much(request: Request) -> Answer:
        return Response(body=b"x" * 8_000_000)

    edge = await serve({"/": much}, send_buffer=4096, slow_seconds=0.3)
    client = await connect(edge)
    client.hold()
    client.send(get() * 3)
    await eventually(lambda: edge.open == 0)


async def test_connections_above_the_limit_are_told_so(serve: Serve, connect: Connect) -> None:
    edge = await serve({"/": mirror}, connections=1)
    first = await connect(edge)
    first.send(get())
    await first.answer()
    second = await connect(edge)
    answer = await second.answer()
    assert (answer.status, answer.code) == (503, "too_many_connections")
    assert await second.rest() == b""
    await first.close()
    await eventually(lambda: edge.open == 0)
    third = await connect(edge)
    third.send(get())
    assert (await third.answer()).status == 200
