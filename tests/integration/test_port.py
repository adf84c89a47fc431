"""The port of a real gateway process, spoken to byte by byte: what HTTP/1 leaves open is answered as it should be."""

import json
import re
import socket
import time
from collections.abc import Iterator

import pytest
import requests

from tests.gateways import Gateway, running

DEMO = "/channels/accounts/demo"


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with running("--open", "-X", "header_seconds=1", "-X", "body_seconds=1") as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def nothing_is_logged_as_an_error(gateway: Gateway) -> Iterator[None]:
    yield
    assert gateway.problems == []
    assert requests.get(f"{gateway.url}/healthz", timeout=5).ok


def get(path: str, *headers: str, version: str = "1.1", method: str = "GET") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/{version}", "Host: localhost", *headers, "", "")).encode()


def post(body: bytes, *headers: str) -> bytes:
    return get(DEMO, *headers, method="POST") + body


def status(answer: bytes) -> int:
    return int(answer.split()[1])


def code(answer: bytes) -> tuple[int, str]:
    return status(answer), json.loads(answer.partition(b"\r\n\r\n")[2])["code"]


def test_http_1_0_gets_an_answer_that_ends_with_the_connection(gateway: Gateway) -> None:
    for path in ("/healthz", "/"):
        answer = gateway.say(get(path, version="1.0"))
        assert status(answer) == 200
        assert b"\r\nConnection: close\r\n" in answer
        assert b"Transfer-Encoding" not in answer


def test_http_1_0_may_ask_to_stay(gateway: Gateway) -> None:
    with gateway.connect() as raw:
        for _ in range(2):
            raw.send(get("/healthz", "Connection: keep-alive", version="1.0"))
            head, body = raw.answer()
            assert "\r\nConnection: keep-alive\r\n" in head
            assert json.loads(body) == {"status": "ok"}


def test_http_1_0_subscribes_without_chunks(gateway: Gateway) -> None:
    with gateway.connect() as raw:
        raw.send(get(f"{DEMO}?since=0", version="1.0"))
        assert "Transfer-Encoding" not in raw.head()
        assert json.loads(raw.until(b"\n")) == {"position": "0"}


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/api/tasks", "/api/hooks", "/openapi.json"])
def test_head_is_get_without_the_body(gateway: Gateway, path: str) -> None:
    with gateway.connect() as raw:
        raw.send(get(path))
        head, body = raw.answer()
        raw.send(get(path, method="HEAD") + get("/healthz"))
        assert without_change(raw.head()) == without_change(head)
        assert int(re.search(r"Content-Length: (\d+)", head)[1]) == len(body)
        assert raw.answer()[1] == b'{"status":"ok"}'


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream", "multipart/x-mixed-replace"])
@pytest.mark.parametrize("query", ["", "?view=tail"])
def test_head_of_a_subscription_promises_no_length_and_subscribes_nobody(
    gateway: Gateway, accept: str, query: str
) -> None:
    with gateway.connect() as raw:
        raw.send(get(f"{DEMO}{query}", f"Accept: {accept}", method="HEAD") + get("/api/status"))
        head = raw.head()
        assert head.startswith("HTTP/1.1 200 ")
        assert "Content-Length" not in head
        assert json.loads(raw.answer()[1])["subscribers"] == 0


def test_a_client_that_waits_for_it_is_told_to_go_on(gateway: Gateway) -> None:
    with gateway.connect() as raw:
        raw.send(post(b"", "Expect: 100-continue", "Content-Length: 3"))
        assert raw.head() == "HTTP/1.1 100 Continue\r\n\r\n"
        raw.send(b'"x"')
        assert json.loads(raw.answer()[1])["status"] == "stored"


def test_a_client_that_waits_with_a_body_too_large_is_refused_before_it_sends(gateway: Gateway) -> None:
    answer = gateway.say(post(b"", "Expect: 100-continue", "Content-Length: 99999999"))
    assert code(answer) == (413, "body_too_large")


def test_pipelined_requests_are_answered_in_their_order(gateway: Gateway) -> None:
    with gateway.connect() as raw:
        bodies = [json.dumps(number).encode() for number in range(50)]
        raw.send(b"".join(post(body, f"Content-Length: {len(body)}") for body in bodies))
        positions = [json.loads(raw.answer()[1])["position"] for _ in bodies]
        offsets = [int(position.rpartition("-")[2]) for position in positions]
        assert offsets == list(range(offsets[0], offsets[0] + 50))


def test_a_head_that_does_not_end_in_time_is_answered_and_cut(gateway: Gateway) -> None:
    with gateway.connect() as raw:
        raw.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        for _ in range(3):
            time.sleep(0.2)  # a byte now and then must not buy more time
            raw.send(b"a")
        assert code(raw.rest()) == (408, "timeout")


def test_a_body_that_does_not_come_in_time_is_answered_and_cut(gateway: Gateway) -> None:
    assert code(gateway.say(post(b"12", "Content-Length: 5"))) == (408, "timeout")


SMUGGLED = get("/api/hooks/smuggled", method="DELETE")


@pytest.mark.parametrize(
    "request_",
    [
        post(b"0\r\n\r\n" + SMUGGLED, "Content-Length: 3", "Transfer-Encoding: chunked"),
        post(b"1\r\n1\r\n0\r\n\r\n" + SMUGGLED, "Transfer-Encoding: chunked", "Content-Length: 6"),
        post(b"12345" + SMUGGLED, "Content-Length: 5", "Content-Length: 6"),
        post(b"12345" + SMUGGLED, "Content-Length: 5, 6"),
        post(b"12345" + SMUGGLED, "Content-Length: +5"),
        post(b"12345" + SMUGGLED, "Content-Length: 0x5"),
        post(b"12345" + SMUGGLED, "Content-Length : 5"),
        post(b"12345" + SMUGGLED, "X: y\nContent-Length: 5"),
        post(b"1\r\n1\r\n0\r\n\r\n" + SMUGGLED, "Transfer-Encoding: xchunked"),
        post(b"1\r\n1\r\n0\r\n\r\n" + SMUGGLED, "Transfer-Encoding: chunked, identity"),
        post(b"1\r\n1\r\n0\r\n\r\n" + SMUGGLED, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        post(b"1\r\n1\r\n0\r\n\r\n" + SMUGGLED, "Transfer-Encoding:\x0bchunked"),
        post(b"1;x\n1\r\n0\r\n\r\n" + SMUGGLED, "Transfer-Encoding: chunked"),
        post(b"-1\r\n1\r\n0\r\n\r\n" + SMUGGLED, "Transfer-Encoding: chunked"),
        post(b"1\r\n1XX0\r\n\r\n" + SMUGGLED, "Transfer-Encoding: chunked"),
        get("/healthz", " folded: header") + SMUGGLED,
        get("/healthz", "Host: other") + SMUGGLED,
        get("/health z") + SMUGGLED,
        b"GET /healthz HTTP/1.1\r\n\r\n" + SMUGGLED,
        b"GET /healthz HTTP/1.1\nHost: localhost\n\n" + SMUGGLED,
    ],
)
def test_what_two_readers_could_understand_differently_is_refused_and_the_last_request(
    gateway: Gateway, request_: bytes
) -> None:
    answer = gateway.say(request_)
    assert status(answer) in (400, 501), answer
    assert len(re.findall(rb"HTTP/1.1 \d{3} ", answer)) == 1, answer
    assert b"\r\nConnection: close\r\n" in answer


def test_a_body_of_get_is_not_the_next_request(gateway: Gateway) -> None:
    with gateway.connect() as raw:
        raw.send(get("/healthz", f"Content-Length: {len(SMUGGLED)}") + SMUGGLED + get("/healthz", "Connection: close"))
        assert raw.rest().count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize("method", ["TRACE", "PUT", "DELETE", "OPTIONS", "PATCH", "QUERY"])
@pytest.mark.parametrize("path", [DEMO, "/hooks", "/api/status", "/openapi.json", "/"])
def test_a_method_that_is_not_offered_is_answered_with_those_that_are(gateway: Gateway, method: str, path: str) -> None:
    with gateway.connect() as raw:
        raw.send(get(path, method=method))
        head, body = raw.answer()
        assert head.startswith("HTTP/1.1 405 ")
        assert json.loads(body)["code"] == "method_not_allowed"
        assert re.search(r"\r\nAllow: [A-Z, ]*(GET|POST)", head)


def test_a_client_is_whom_a_trusted_proxy_names_and_nobody_else() -> None:
    limit = ("-X", "requests_per_second=0.01", "-X", "requests_burst=2")
    with running("--open", *limit, "-X", "trusted_proxies=127.0.0.1") as gateway, gateway.connect() as raw:

        def ask(*forwarded: str) -> int:
            raw.send(get("/healthz", *(f"X-Forwarded-For: {entry}" for entry in forwarded)))
            return int(raw.answer()[0].split()[1])

        assert [ask() for _ in range(5)] == [200] * 5
        assert [ask("203.0.113.7") for _ in range(3)] == [200, 200, 429]
        assert [ask("198.51.100.1, 203.0.113.7") for _ in range(2)] == [429, 429]  # the left entry is anybody's word
        assert ask("203.0.113.8") == 200
        assert [ask(f"2001:db8::{n}") for n in range(3)] == [200, 200, 429]
        assert gateway.problems == []


def test_a_client_that_is_too_fast_is_told_when_to_come_again() -> None:
    limit = ("-X", "requests_per_second=0.1", "-X", "requests_burst=1", "-X", "trusted_proxies=127.0.0.1")
    with running("--open", *limit) as gateway, gateway.connect() as raw:
        raw.send(get("/healthz", "X-Forwarded-For: 203.0.113.7") * 2 + get("/healthz"))
        assert raw.answer()[0].startswith("HTTP/1.1 200 ")
        head, body = raw.answer()
        assert (json.loads(body)["status"], json.loads(body)["code"]) == (429, "too_many_requests")
        assert 9 <= int(re.search(r"\r\nRetry-After: (\d+)\r\n", head)[1]) <= 10
        assert raw.answer()[0].startswith("HTTP/1.1 200 ")  # another client of the same proxy is not held back
        gateway.process.wait_for(r"requests_refused +count=1\b")


def test_forwarded_words_of_a_stranger_do_not_count(gateway: Gateway) -> None:
    with gateway.connect() as raw:
        for number in range(3):
            raw.send(get("/healthz", f"X-Forwarded-For: 203.0.113.{number}", "X-Forwarded-Proto: https"))
            assert raw.answer()[0].startswith("HTTP/1.1 200 ")


def test_a_node_that_is_full_says_so() -> None:
    with running("--open", "-X", "connections=2") as gateway, gateway.connect() as first, gateway.connect() as second:
        for raw in (first, second):
            raw.send(get("/healthz"))
            raw.answer()
        assert code(gateway.say(b"")) == (503, "too_many_connections")
        first.close()
        assert eventually_answers(gateway)


def eventually_answers(gateway: Gateway) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if status(gateway.say(get("/healthz", "Connection: close"))) == 200:
            return True
    return False


def test_ipv6_is_an_address_like_any_other() -> None:
    with running("--open", listen="::1") as gateway:
        assert gateway.url == f"http://[::1]:{gateway.port}"
        with gateway.connect() as raw:
            assert raw.socket.family is socket.AF_INET6
            raw.send(f"GET /healthz HTTP/1.1\r\nHost: [::1]:{gateway.port}\r\n\r\n".encode())
            assert raw.answer()[1] == b'{"status":"ok"}'
        assert requests.post(f"{gateway.url}{DEMO}", json=1, timeout=5).json()["status"] == "stored"


def test_localhost_is_both_of_its_addresses() -> None:
    with running("--open", listen="localhost") as gateway:
        known = {info[4][0] for info in socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)}
        for address in known:
            with socket.create_connection((address, gateway.port), 5) as sock:
                sock.sendall(get("/healthz", "Connection: close"))
                assert sock.recv(100).startswith(b"HTTP/1.1 200 ")


def without_change(head: str) -> list[str]:
    """The lines of a head that are the same at any time."""
    return [line for line in head.split("\r\n") if not line.startswith(("Date:", "Etag:"))]
