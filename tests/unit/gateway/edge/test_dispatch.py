"""From a request to its answer: what a handler is given, and what becomes of what it gives back."""

import pytest
from tornado.web import Application, RequestHandler

from gateway.edge.dispatch import joined
from gateway.edge.request import Answer, Request, Response
from gateway.edge.settings import EdgeSettings
from skyhooks.errors import Refused
from tests.unit.gateway.edge.client import get, post
from tests.unit.gateway.edge.conftest import Connect, Serve


class Keeping:
    """A handler that keeps the request it was given."""

    request: Request

    async def __call__(self, request: Request) -> Answer:
        self.request = request
        return Response(body=b"kept")


async def test_a_handler_is_given_the_request_decoded(serve: Serve, connect: Connect) -> None:
    kept = Keeping()
    client = await connect(await serve({"/é/a b": kept}))
    client.send(post("/%C3%A9/a%20b?since=x%3A1&raw", b"\x00\xff", "X-A: 1", "x-a: 2", "Cookie: a=1", "Cookie: b=2"))
    assert (await client.answer()).body == b"kept"
    request = kept.request
    assert (request.method, request.path, request.body) == ("POST", "/é/a b", b"\x00\xff")
    assert request.query == {"since": "x:1", "raw": ""}
    assert request.headers["x-a"] == "1, 2"
    assert request.headers["cookie"] == "a=1; b=2"
    assert request.remote == "127.0.0.1"
    assert request.http11
    assert not request.websocket


@pytest.mark.parametrize(("proxies", "remote"), [("127.0.0.0/8", "9.9.9.9"), ("10.0.0.0/8", "127.0.0.1")])
async def test_trusted_proxies_say_whose_request_it_is(
    serve: Serve, connect: Connect, proxies: str, remote: str
) -> None:
    kept = Keeping()
    edge = await serve({"/": kept}, trusted_proxies=EdgeSettings.trusted_proxies.read(proxies))
    client = await connect(edge)
    client.send(get("/", "X-Forwarded-For: 1.1.1.1, 9.9.9.9"))
    await client.answer()
    assert kept.request.remote == remote


async def test_head_is_answered_with_the_head_alone(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve({"/": Keeping()}))
    client.send(get(method="HEAD") + get())
    assert (await client.answer("HEAD")).headers["content-length"] == "4"
    assert (await client.answer()).body == b"kept"


@pytest.mark.parametrize(("path", "code"), [("/%ff", "bad_path"), ("/%zz", "bad_path"), ("/?a=1&a=2", "bad_query")])
async def test_a_target_that_cannot_be_decoded_is_refused_and_the_connection_kept(
    serve: Serve, connect: Connect, path: str, code: str
) -> None:
    client = await connect(await serve({"/": Keeping()}))
    client.send(get(path) + get())
    answer = await client.answer()
    assert (answer.status, answer.code) == (400, code)
    assert (await client.answer()).body == b"kept"


async def test_dot_segments_are_left_to_the_handler(serve: Serve, connect: Connect) -> None:
    kept = Keeping()
    client = await connect(await serve({"/a/../b": kept}))
    client.send(get("/a/../b"))
    assert (await client.answer()).body == b"kept"


async def test_what_a_handler_refuses_is_answered_and_logged_in_one_line(
    serve: Serve, connect: Connect, lines: list[dict[str, object]]
) -> None:
    async def refuse(request: Request) -> Answer:
        raise Refused("busy", "come back later", 503, {"Retry-After": "1"})

    client = await connect(await serve({"/": refuse}))
    client.send(get())
    answer = await client.answer()
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "busy", "1")
    (line,) = (line for line in lines if line["event"] == "request_refused")
    assert (line["code"], line["method"], line["target"], line["remote"]) == ("busy", "GET", "/", "127.0.0.1")
    assert "exc_info" not in line


async def test_what_a_handler_fails_on_is_500_without_detail_and_one_traceback(
    serve: Serve, connect: Connect, lines: list[dict[str, object]]
) -> None:
    async def fail(request: Request) -> Answer:
        raise RuntimeError("the secret is hunter2")

    client = await connect(await serve({"/": fail}))
    client.send(get() + get())
    for _ in range(2):
        answer = await client.answer()
        assert (answer.status, answer.code) == (500, "internal_error")
        assert b"hunter2" not in answer.body
    failures = [line for line in lines if line["log_level"] == "error"]
    assert [line["event"] for line in failures] == ["request_failed"] * 2
    assert all(line["exc_info"] for line in failures)


async def test_an_answer_that_cannot_be_sent_is_500(
    serve: Serve, connect: Connect, lines: list[dict[str, object]]
) -> None:
    async def split(request: Request) -> Answer:
        return Response(headers={"X-Name": "a\r\nSet-Cookie: b"})

    client = await connect(await serve({"/": split}))
    client.send(get())
    answer = await client.answer()
    assert (answer.status, answer.code, answer.headers["connection"]) == (500, "internal_error", "close")
    assert "set-cookie" not in answer.headers
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["response_refused"]


async def test_what_no_handler_answers_goes_to_the_application(serve: Serve, connect: Connect) -> None:
    class Hello(RequestHandler):
        def get(self) -> None:
            self.write("from tornado")

    client = await connect(await serve({"/": Keeping()}, Application([("/t", Hello)])))
    client.send(get("/t") + get("/") + get("/neither"))
    assert (await client.answer()).body == b"from tornado"
    assert (await client.answer()).body == b"kept"
    assert (await client.answer()).status == 404


async def test_without_an_application_there_is_nothing_else(serve: Serve, connect: Connect) -> None:
    client = await connect(await serve({}))
    client.send(get("/t"))
    answer = await client.answer()
    assert (answer.status, answer.code) == (404, "not_found")


def test_several_headers_of_one_name_become_one() -> None:
    fields = [("a", "1"), ("b", "2"), ("a", "3"), ("cookie", "x=1"), ("cookie", "y=2")]
    assert joined(fields) == {"a": "1, 3", "b": "2", "cookie": "x=1; y=2"}


async def test_a_client_above_its_rate_is_answered_and_keeps_its_connection(
    serve: Serve, connect: Connect, lines: list[dict[str, object]]
) -> None:
    async def plain(request: Request) -> Answer:
        return Response()

    limit = {"requests_per_second": 0.01, "requests_burst": 2}
    edge = await serve({"/": plain}, trusted_proxies=EdgeSettings.trusted_proxies.read("127.0.0.1"), **limit)
    client = await connect(edge)
    client.send(
        get("/", "X-Forwarded-For: 203.0.113.9") * 3 + get("/nowhere", "X-Forwarded-For: 203.0.113.9") + get("/")
    )
    answers = [await client.answer() for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 429, 429, 200]
    assert answers[2].code == "too_many_requests"
    assert [line["event"] for line in lines if line["event"] == "request_refused"] == []
