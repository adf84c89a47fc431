"""A Tornado application behind the edge behaves as behind Tornado's own server."""

import asyncio
import gzip
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tornado import httputil
from tornado.iostream import StreamClosedError
from tornado.web import Application, HTTPError, RequestHandler, StaticFileHandler, stream_request_body
from tornado.websocket import WebSocketHandler

from gateway.edge.server import Edge
from gateway.edge.settings import EdgeSettings
from tests.unit.gateway.edge.client import HANDSHAKE, Client, get, post
from tests.unit.gateway.edge.conftest import Connect, Serve, eventually


class Hello(RequestHandler):
    def get(self) -> None:
        self.write(f"hello {self.get_argument('name', 'nobody')} from {self.request.remote_ip}")

    def post(self) -> None:
        self.set_header("X-Protocol", self.request.protocol)
        self.write(self.request.body[::-1])


class Pieces(RequestHandler):
    async def get(self) -> None:
        for piece in ("one ", "two ", "three"):
            self.write(piece)
            await self.flush()


class Long(RequestHandler):
    def get(self) -> None:
        self.write("word " * 2000)


class Status(RequestHandler):
    def get(self, status: str) -> None:
        self.set_status(int(status))


class Away(RequestHandler):
    def get(self) -> None:
        self.redirect("/hello")


class Failing(RequestHandler):
    async def get(self) -> None:
        self.write("never seen")
        raise ZeroDivisionError


class Teapot(RequestHandler):
    def get(self) -> None:
        raise HTTPError(418)


class FailingAtOnce(RequestHandler):
    def initialize(self) -> None:
        raise ZeroDivisionError


class WrongLength(RequestHandler):
    async def get(self, length: str) -> None:
        self.set_header("Content-Length", length)
        self.write("12345")
        await self.flush()


class Closing(RequestHandler):
    def get(self) -> None:
        self.set_header("Connection", "close")
        self.write("bye")


class Bare(RequestHandler):
    """Writes through the connection itself, as Tornado's own delegates do."""

    def head(self) -> None:
        line = httputil.ResponseStartLine("HTTP/1.1", 200, "Fine")
        connection = self.request.connection
        assert connection is not None
        connection.write_headers(line, httputil.HTTPHeaders({"Content-Length": "4"}), b"body")
        connection.write(b"more")
        self._auto_finish = False
        connection.finish()

    get = head


class Waiting(RequestHandler):
    closed: asyncio.Event
    began: asyncio.Event

    def initialize(self, began: asyncio.Event, closed: asyncio.Event) -> None:
        self.began, self.closed = began, closed

    async def get(self) -> None:
        self.began.set()
        await self.closed.wait()

    post = get

    def on_connection_close(self) -> None:
        self.closed.set()


class Firehose(RequestHandler):
    ended: list[str]
    flushed: list[int]

    def initialize(self, ended: list[str], flushed: list[int]) -> None:
        self.ended, self.flushed = ended, flushed

    async def get(self) -> None:
        try:
            while True:
                self.write("x" * 1_000_000)
                await self.flush()
                self.flushed.append(1)
        except StreamClosedError:
            self.ended.append("closed")


def application(folder: Path, *more: Any) -> Application:
    (folder / "page.html").write_text("<p>static</p>" * 100)
    routes: list[Any] = [
        ("/hello", Hello),
        ("/pieces", Pieces),
        ("/long", Long),
        (r"/status/(\d+)", Status),
        ("/away", Away),
        ("/failing", Failing),
        ("/teapot", Teapot),
        ("/failing-at-once", FailingAtOnce),
        (r"/length/(\d+)", WrongLength),
        ("/closing", Closing),
        ("/bare", Bare),
        ("/static/(.*)", StaticFileHandler, {"path": str(folder)}),
    ]
    return Application([*routes, *more], compress_response=True)


@pytest.fixture
async def client(serve: Serve, connect: Connect, tmp_path: Path) -> Client:
    return await connect(await serve(application=application(tmp_path)))


async def test_handlers_answer_on_one_connection(client: Client) -> None:
    client.send(get("/hello?name=you") + post("/hello", b"abc") + get("/hello"))
    assert (await client.answer()).body == b"hello you from 127.0.0.1"
    answer = await client.answer()
    assert (answer.body, answer.headers["x-protocol"]) == (b"cba", "http")
    assert (await client.answer()).body == b"hello nobody from 127.0.0.1"


async def test_an_answer_of_unknown_length_is_chunked(client: Client) -> None:
    client.send(get("/pieces") + get("/hello"))
    answer = await client.answer()
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.body == b"one two three"
    assert (await client.answer()).status == 200


async def test_for_http_1_0_it_ends_with_the_connection(client: Client) -> None:
    client.send(b"GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    answer = await client.answer()
    assert "transfer-encoding" not in answer.headers
    assert (answer.headers["connection"], answer.body) == ("close", b"one two three")


async def test_http_1_0_keeps_alive_where_the_length_is_known(client: Client) -> None:
    for _ in range(2):
        client.send(b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = await client.answer()
        assert (answer.headers["connection"], answer.body) == ("keep-alive", b"hello nobody from 127.0.0.1")


@pytest.mark.parametrize("path", ["/hello", "/pieces", "/long"])
async def test_head_has_no_content(client: Client, path: str) -> None:
    client.send(get(path, method="HEAD") + get("/hello"))
    answer = await client.answer("HEAD")
    # These handlers have no head method of their own.
    assert answer.status == 405
    assert (await client.answer()).body.startswith(b"hello")


async def test_head_of_a_file_says_its_length(client: Client) -> None:
    client.send(get("/static/page.html", method="HEAD") + get("/hello"))
    answer = await client.answer("HEAD")
    assert (answer.status, answer.headers["content-length"]) == (200, "1300")
    assert (await client.answer()).body.startswith(b"hello")


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_content_is_not_chunked(client: Client, status: int) -> None:
    client.send(get(f"/status/{status}") + get("/hello"))
    answer = await client.answer()
    assert answer.status == status
    assert "transfer-encoding" not in answer.headers
    assert (await client.answer()).body.startswith(b"hello")


async def test_options_are_tornados(client: Client) -> None:
    client.send(get("/hello", method="OPTIONS") + get("/nowhere") + get("/hello", method="PATCH"))
    assert [(await client.answer()).status for _ in range(3)] == [405, 404, 405]


async def test_long_answers_are_compressed(client: Client) -> None:
    client.send(get("/long", "Accept-Encoding: gzip"))
    answer = await client.answer()
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body) == b"word " * 2000


async def test_files_are_served_with_ranges_and_etags(client: Client) -> None:
    client.send(get("/static/page.html"))
    answer = await client.answer()
    assert answer.body == b"<p>static</p>" * 100
    client.send(get("/static/page.html", "Range: bytes=3-8"))
    part = await client.answer()
    assert (part.status, part.body) == (206, b"static")
    client.send(get("/static/page.html", f"If-None-Match: {answer.headers['etag']}"))
    assert (await client.answer()).status == 304
    client.send(get("/static/..%2f..%2fetc/passwd"))
    assert (await client.answer()).status in (403, 404)


async def test_redirects_and_errors_are_tornados(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.send(get("/away") + get("/teapot") + get("/failing") + get("/hello"))
    answer = await client.answer()
    assert (answer.status, answer.headers["location"]) == (302, "/hello")
    assert (await client.answer()).status == 418
    failed = await client.answer()
    assert failed.status == 500
    assert b"never seen" not in failed.body
    assert (await client.answer()).status == 200


async def test_a_handler_that_cannot_even_begin_is_500(client: Client, lines: list[dict[str, object]]) -> None:
    client.send(get("/failing-at-once") + get("/hello"))
    answer = await client.answer()
    assert (answer.status, answer.code) == (500, "internal_error")
    assert (await client.answer()).status == 200


async def test_an_answer_shorter_than_its_length_is_cut(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.send(get("/length/9"))
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.answer()


async def test_an_answer_longer_than_its_length_never_runs_over(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.send(get("/length/3"))
    data = b""
    with suppress(ConnectionError):
        data = await client.rest()
    assert b"12345" not in data


async def test_content_written_for_head_is_not_sent(client: Client) -> None:
    client.send(get("/bare", method="HEAD") + get("/hello"))
    assert (await client.answer("HEAD")).headers["content-length"] == "4"
    assert (await client.answer()).body.startswith(b"hello")


async def test_a_handler_may_end_the_connection(client: Client) -> None:
    client.send(get("/closing") + get("/hello"))
    answer = await client.answer()
    assert (answer.body, answer.headers["connection"]) == (b"bye", "close")
    assert await client.rest() == b""


async def test_a_handshake_that_nobody_wants_is_an_ordinary_request(client: Client) -> None:
    client.send(get("/hello", *HANDSHAKE))
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await client.rest() == b""


async def test_what_tornado_cannot_read_is_refused(client: Client, lines: list[dict[str, object]]) -> None:
    client.send(get("/hello?" + "&a" * 2000) + get("/hello"))
    answer = await client.answer()
    assert (answer.status, answer.code) == (400, "bad_request")
    assert (await client.answer()).status == 200
    assert [line for line in lines if line["log_level"] == "error"] == []


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_handler_hears_that_its_client_left(
    serve: Serve, connect: Connect, tmp_path: Path, method: str
) -> None:
    began, closed = asyncio.Event(), asyncio.Event()
    route = ("/waiting", Waiting, {"began": began, "closed": closed})
    edge = await serve(application=application(tmp_path, route))
    client = await connect(edge)
    client.send(get("/waiting", method=method))
    await began.wait()
    client.reset()
    async with asyncio.timeout(10):
        await closed.wait()
    assert edge.open == 0


async def test_writes_wait_for_the_socket_and_fail_once_it_is_gone(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    ended: list[str] = []
    flushed: list[int] = []
    route = ("/firehose", Firehose, {"ended": ended, "flushed": flushed})
    edge = await serve(application=application(tmp_path, route), send_buffer=2048)
    client = await connect(edge)
    client.send(get("/firehose"))
    async with asyncio.timeout(10):
        await client.reader.readexactly(2_500_000)
    before = -1
    while before != len(flushed):
        before = len(flushed)
        await asyncio.sleep(0.1)
    client.reset()
    await eventually(lambda: ended == ["closed"])


@pytest.mark.parametrize(
    ("forwarded", "protocol"), [("https", "https"), ("http, https", "https"), ("ftp", "http"), ("", "http")]
)
async def test_a_trusted_proxy_says_the_scheme(
    serve: Serve, connect: Connect, tmp_path: Path, forwarded: str, protocol: str
) -> None:
    trusted = EdgeSettings.trusted_proxies.read("127.0.0.1")
    client = await connect(await serve(application=application(tmp_path), trusted_proxies=trusted))
    client.send(post("/hello", b"x", f"X-Forwarded-Proto: {forwarded}", "X-Forwarded-For: 9.9.9.9"))
    assert (await client.answer()).headers["x-protocol"] == protocol
    client.send(get("/hello", "X-Forwarded-For: 9.9.9.9"))
    assert (await client.answer()).body == b"hello nobody from 9.9.9.9"


class Socket(WebSocketHandler):
    pass


@stream_request_body
class Streaming(RequestHandler):
    def data_received(self, chunk: bytes) -> None: ...


@pytest.mark.parametrize("handler", [Socket, Streaming])
@pytest.mark.parametrize("nested", [False, True])
def test_a_handler_that_needs_the_connection_is_refused_at_once(handler: type[RequestHandler], nested: bool) -> None:
    mounted = Application([("/x", handler)])
    if nested:
        mounted = Application([("/inner/.*", mounted)])
    with pytest.raises(TypeError, match=handler.__name__):
        Edge(lambda method, path: None, mounted, EdgeSettings())
