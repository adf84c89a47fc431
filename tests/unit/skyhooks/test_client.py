"""The client against scripted servers, for what a gateway does only on bad days, and against a real gateway."""

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

import pytest

from skyhooks.backoff import Backoff
from skyhooks.client import Client, Gap, Item, Published, Submitted
from skyhooks.errors import Refused, SettingsError, Unreachable
from skyhooks.signature import make_secret
from tests.conftest import Spawn
from tests.processes import free_ports

SOON = Backoff(first=0.01, most=0.02)
SECRET = make_secret(bytes(range(32)))


HOLD = bytes(1)
"""As a part of an answer: say nothing more until the client goes."""


class Server:
    """Answers each connection with the next of `answers`, then closes it; `requests` are what it was sent."""

    def __init__(self, answers: list[bytes | list[bytes]]) -> None:
        self.requests: list[str] = []
        self._answers = answers
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)

    def _serve(self) -> None:
        with suppress(OSError):
            for answer in self._answers:
                connection, _ = self._socket.accept()
                with connection:
                    self.requests.append(_request(connection))
                    for part in [answer] if isinstance(answer, bytes) else answer:
                        if part is HOLD:
                            connection.recv(1)
                            break
                        connection.sendall(part)


def _request(connection: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return (head + b"\r\n\r\n" + body).decode()


def stream(*lines: str | bytes, end: bool = True) -> bytes:
    """A newline stream in chunks, one a line; without `end` it is cut off."""
    parts = [line if isinstance(line, bytes) else line.encode() + b"\n" for line in lines]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/x-ndjson\r\n\r\n"
    return head + chunks + (b"0\r\n\r\n" if end else b"")


def answer(status: int, body: str, kind: str = "application/json", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return (head + body).encode()


def problem(status: int, code: str) -> bytes:
    return answer(status, json.dumps({"code": code, "detail": "a sentence", "status": status}))


def item(offset: int) -> str:
    return f'{{"position": "e-{offset}", "data": {{"n":{offset}}}}}'


PUBLISHED = answer(200, '{"status":"stored","id":"i","channel":"a","position":"e-1","notified":2}')


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*answers: bytes | list[bytes]) -> Server:
        servers.append(Server(list(answers)))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def nobody() -> str:
    return f"http://127.0.0.1:{free_ports()}"


def test_a_stream_gives_items_and_gaps_and_skips_keepalives(serve: Callable[..., Server]) -> None:
    gap = '{"gap": {"from": "e-1", "to": "e-4"}}'
    server = serve(stream('{"position": "e-0"}', "", item(1), "", gap, item(5)))
    found = list(islice(Client(server.url).tail("a"), 3))
    assert found == [Item("e-1", b'{"n":1}'), Gap("e-1", "e-4"), Item("e-5", b'{"n":5}')]


def test_data_that_is_null_is_data(serve: Callable[..., Server]) -> None:
    server = serve(stream('{"position": "e-1", "data": null}'))
    found = next(Client(server.url).tail("a"))
    assert isinstance(found, Item)
    assert (found.text, found.data) == (b"null", None)


def test_any_json_is_data(serve: Callable[..., Server]) -> None:
    deep = "[" * 500 + "]" * 500
    texts = ["1e999", "-0.0", str(10**400), '"\\u2028"', deep]
    server = serve(stream(*(f'{{"position": "e-1", "data": {text}}}' for text in texts)))
    found = list(islice(Client(server.url).tail("a"), len(texts)))
    assert [one.text.decode() for one in found if isinstance(one, Item)] == texts
    assert [one.data for one in found[:4] if isinstance(one, Item)] == [float("inf"), 0.0, 10**400, "\u2028"]


def test_lines_may_be_cut_anywhere(serve: Callable[..., Server]) -> None:
    text = f"{item(1)}\n{item(2)}\n".encode()
    pieces = [text[at : at + 7] for at in range(0, len(text), 7)]
    server = serve(stream(*pieces))
    assert list(islice(Client(server.url).tail("a"), 2)) == [Item("e-1", b'{"n":1}'), Item("e-2", b'{"n":2}')]


@pytest.mark.parametrize("end", [True, False])
def test_a_stream_that_ends_is_resumed_from_the_last_position(serve: Callable[..., Server], end: bool) -> None:
    lost: list[str] = []
    server = serve(stream('{"position": "e-0"}', item(1), item(2), end=end), stream('{"position": "e-2"}', item(3)))
    found = list(islice(Client(server.url, backoff=SOON).tail("a/b", lost=lost.append), 3))
    assert [one.position for one in found] == ["e-1", "e-2", "e-3"]
    assert [request.split(" ")[1] for request in server.requests] == ["/channels/a/b", "/channels/a/b?since=e-2"]
    assert len(lost) == 1


def test_why_a_connection_was_lost_is_said_in_words(serve: Callable[..., Server]) -> None:
    lost: list[str] = []
    server = serve(stream(item(1), end=False), stream(item(2)), stream(item(3)))
    list(islice(Client(server.url, backoff=SOON).tail("a", lost=lost.append), 3))
    assert lost == [f"{server.url}/channels/a: the connection broke", f"{server.url} ended the stream"]


def test_a_gateway_that_says_nothing_at_all_counts_as_lost(serve: Callable[..., Server]) -> None:
    lost: list[str] = []
    server = serve([stream(item(1), end=False), HOLD], stream(item(2)))
    client = Client(server.url, backoff=SOON, silence=0.05)
    found = list(islice(client.tail("a", lost=lost.append), 2))
    assert [one.position for one in found] == ["e-1", "e-2"]
    assert lost == [f"{server.url}/channels/a: it did not answer in time"]


def test_a_stream_cut_before_its_first_item_is_resumed_from_where_it_stood(serve: Callable[..., Server]) -> None:
    server = serve(stream('{"position": "e-7"}', end=False), stream(item(8)))
    assert next(Client(server.url, backoff=SOON).tail("a")) == Item("e-8", b'{"n":8}')
    assert server.requests[1].split(" ")[1] == "/channels/a?since=e-7"


def test_a_gap_moves_the_position(serve: Callable[..., Server]) -> None:
    server = serve(stream('{"gap": {"from": "0", "to": "e-4"}}', end=False), stream(item(5)))
    list(islice(Client(server.url, backoff=SOON).tail("a", "0"), 2))
    assert [request.split(" ")[1] for request in server.requests] == ["/channels/a?since=0", "/channels/a?since=e-4"]


def test_the_next_gateway_goes_on(serve: Callable[..., Server]) -> None:
    first, second = serve(stream(item(1), end=False)), serve(stream(item(2)))
    found = list(islice(Client(first.url, second.url, backoff=SOON).tail("a"), 2))
    assert [one.position for one in found] == ["e-1", "e-2"]
    assert "?since=e-1 " in second.requests[0]


def test_a_gateway_that_is_gone_is_passed_over(serve: Callable[..., Server], nobody: str) -> None:
    server = serve(stream(item(1)))
    assert next(Client(nobody, server.url, backoff=SOON).tail("a")) == Item("e-1", b'{"n":1}')


def test_nobody_there_is_said_with_what_to_do(nobody: str) -> None:
    client = Client(nobody, backoff=SOON)
    for ask in (lambda: next(client.tail("a")), lambda: client.publish("a", 1), lambda: client.submit("t")):
        with pytest.raises(Unreachable, match=f"no gateway answers at {nobody}: start one with `skyhooks up`"):
            ask()


def test_a_refusal_ends_the_tail_at_once(serve: Callable[..., Server]) -> None:
    server = serve(stream(item(1)), problem(400, "bad_position"))
    tail = Client(server.url, backoff=SOON).tail("a")
    next(tail)
    with pytest.raises(Refused) as caught:
        next(tail)
    assert (caught.value.code, caught.value.detail, caught.value.status) == ("bad_position", "a sentence", 400)


def test_a_gateway_in_trouble_is_asked_again_once_it_has_served(serve: Callable[..., Server]) -> None:
    lost: list[str] = []
    server = serve(stream(item(1)), problem(503, "store_unavailable"), b"", stream(item(2)))
    found = list(islice(Client(server.url, backoff=SOON).tail("a", lost=lost.append), 2))
    assert [one.position for one in found] == ["e-1", "e-2"]
    assert "store_unavailable: a sentence" in lost[1]


def test_a_gateway_in_trouble_from_the_start_is_said(serve: Callable[..., Server]) -> None:
    server = serve(problem(503, "store_unavailable"))
    with pytest.raises(Refused, match="store_unavailable"):
        next(Client(server.url, backoff=SOON).tail("a"))


@pytest.mark.parametrize("ask", ["tail", "publish"])
@pytest.mark.parametrize(
    "said",
    [
        answer(200, "<html>", "text/html"),
        answer(404, "<html>", "text/html"),
        answer(302, "", more="Location: /elsewhere\r\n"),
        stream('{"position": 7}'),
        stream("[]"),
    ],
)
def test_somebody_else_on_the_port_is_noticed(serve: Callable[..., Server], ask: str, said: bytes) -> None:
    server = serve(said, said)
    client = Client(server.url, backoff=SOON)
    with pytest.raises(Unreachable) as caught:
        client.publish("a", 1) if ask == "publish" else next(client.tail("a"))
    assert server.url in str(caught.value)
    assert len(server.requests) == 1


def test_a_request_that_may_have_been_done_goes_to_no_other_gateway(serve: Callable[..., Server]) -> None:
    first, second = serve(b""), serve(PUBLISHED)
    with pytest.raises(Unreachable, match="it may be done"):
        Client(first.url, second.url).publish("a", 1)
    assert second.requests == []


def test_a_request_that_was_never_sent_goes_to_the_next_gateway(serve: Callable[..., Server], nobody: str) -> None:
    server = serve(PUBLISHED)
    assert Client(nobody, server.url).publish("a", 1) == Published("stored", "i", "a", "e-1", 2)


def test_what_is_only_read_is_asked_of_the_next_gateway_even_if_it_was_sent(serve: Callable[..., Server]) -> None:
    first, second = serve(b""), serve(answer(200, '{"leader": "n1"}'))
    found = Client(first.url, second.url).get("/api/nodes", dict[str, str], {"since": "1 h", "task": "a&b"})
    assert found == {"leader": "n1"}
    for server in (first, second):
        assert server.requests[0].splitlines()[0] == "GET /api/nodes?since=1+h&task=a%26b HTTP/1.1"


def test_what_is_ordered_is_asked_for_once(serve: Callable[..., Server]) -> None:
    first, second = serve(b""), serve(answer(200, "{}"))
    with pytest.raises(Unreachable, match="may be done"):
        Client(first.url, second.url).post("/api/nodes/n1/drain", dict[str, str])
    assert second.requests == []
    server = serve(problem(404, "unknown_node"))
    with pytest.raises(Refused) as caught:
        Client(server.url).post("/api/nodes/n1/drain", dict[str, str])
    assert (caught.value.code, server.requests[0].splitlines()[0]) == (
        "unknown_node",
        "POST /api/nodes/n1/drain HTTP/1.1",
    )


def test_a_submission_carries_everything_and_gives_channels_and_positions(serve: Callable[..., Server]) -> None:
    server = serve(answer(202, '{"task_id":"t","channels":{"task":"tasks/t"},"positions":{"tasks/t":"0"}}'))
    done = Client(server.url).submit("shop.charge", [1], {"b": 2}, "acme")
    assert done == Submitted("t", {"task": "tasks/t"}, {"tasks/t": "0"})
    head, _, body = server.requests[0].partition("\r\n\r\n")
    assert head.startswith("POST /api/tasks/shop.charge HTTP/1.1")
    assert json.loads(body) == {"args": [1], "kwargs": {"b": 2}, "account": "acme"}


def test_a_submission_s_terms_are_asked_for_only_when_given(serve: Callable[..., Server]) -> None:
    server = serve(answer(202, '{"task_id":"t","channels":{},"positions":{}}'))
    Client(server.url).submit("shop.charge", deadline=0, expires=1.5)
    body = json.loads(server.requests[0].partition("\r\n\r\n")[2])
    assert body == {"args": [], "kwargs": {}, "account": None, "deadline": 0, "expires": 1.5}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    serve: Callable[..., Server], nobody: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", nobody)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server = serve(PUBLISHED)
    assert Client(server.url.replace("127.0.0.1", host)).publish("a", 1).status == "stored"


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://localhost", "http://", "http://a?b", "http://a#b", ""])
def test_a_url_of_no_gateway_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"a gateway's URL is such as http://127\.0\.0\.1:8080"):
        Client(url)


def test_a_channel_that_is_none_is_refused_before_anything_is_sent(nobody: str) -> None:
    with pytest.raises(Refused, match="bad_channel"):
        Client(nobody).publish("a b", 1)


def test_data_that_json_cannot_carry_is_refused(nobody: str) -> None:
    with pytest.raises(TypeError):
        Client(nobody).publish("a", object())


def test_with_a_real_gateway_signed_publications_come_back_in_order(spawn: Spawn, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_ports()}"
    listen = ["--listen", url.removeprefix("http://"), "--store", f"sqlite://{tmp_path}/log.db"]
    gateway = spawn([sys.executable, "-P", "-m", "gateway", *listen], {"SKYHOOKS_SECRET": SECRET})
    gateway.wait_for("listening")
    with closing(Client(url, secret=SECRET)) as client:
        done = [client.publish("accounts/acme", {"n": n}, f"id-{n}") for n in range(3)]
        again = client.publish("accounts/acme", {"n": 1}, "id-1")
        assert [one.status for one in done] == ["stored"] * 3
        assert (again.status, again.position) == ("duplicate", done[1].position)
        found = list(islice(client.tail("accounts/acme", "0"), 3))
        assert found == [Item(one.position, b'{"n":%d}' % n) for n, one in enumerate(done)]
        assert next(client.tail("accounts/acme", done[1].position)) == found[2]
    with closing(Client(url)) as stranger, pytest.raises(Refused, match="unsigned"):
        stranger.publish("accounts/acme", 1)
