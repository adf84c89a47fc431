"""TLS on the port of a real gateway: https, wss, and a worker that posts its results to it."""

import asyncio
import json
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from websockets.asyncio.client import connect as websocket

from skyhooks.client import Client
from skyhooks.errors import SettingsError, Unreachable
from skyhooks.store import open_store
from tests.certificates import Authority
from tests.conformance.sending import parcels, register, sender_of
from tests.conftest import Spawn
from tests.gateways import Gateway, running

DEMO = "/channels/accounts/demo"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def files(authority: Authority) -> tuple[str, ...]:
    """The options of a gateway with a certificate for loopback."""
    certificate, key = authority.issue("loopback", "IP:127.0.0.1", "IP:::1", "DNS:localhost")
    return ("-X", f"tls_certificate={certificate}", "-X", f"tls_key={key}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("system")


@pytest.fixture(scope="module")
def gateway(files: tuple[str, ...], folder: Path) -> Iterator[Gateway]:
    store, broker = f"sqlite://{folder}/s.db", f"file://{folder}/broker"
    with running("--open", "--store", store, "--broker", broker, "-X", "header_seconds=1", *files) as gateway:
        yield gateway
        assert gateway.problems == []


@pytest.fixture
def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.path))


def test_the_nodes_url_is_https_and_verified(gateway: Gateway, authority: Authority) -> None:
    assert gateway.url == f"https://127.0.0.1:{gateway.port}"
    assert requests.get(f"{gateway.url}/readyz", verify=str(authority.path), timeout=5).ok
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{gateway.url}/readyz", timeout=5)


def test_large_bodies_and_answers_pass_whole(gateway: Gateway, authority: Authority) -> None:
    data = "x" * 900_000
    url, verify = f"{gateway.url}/channels/accounts/large", str(authority.path)
    assert requests.post(url, json=data, verify=verify, timeout=10).ok
    with requests.get(f"{url}?since=0", stream=True, verify=verify, timeout=10) as stream:
        lines = stream.iter_lines(chunk_size=65536)
        assert json.loads(next(lines)) == {"position": "0"}
        assert json.loads(next(lines))["data"] == data


async def test_wss_is_the_same_subscription(gateway: Gateway, authority: Authority, trusting: ssl.SSLContext) -> None:
    async with websocket(gateway.url.replace("https", "wss") + DEMO, ssl=trusting) as subscriber:
        assert json.loads(await subscriber.recv()) == {"position": "0"}
        for number in range(100):
            client = Client(gateway.url, ca=str(authority.path))
            await asyncio.to_thread(client.publish, "accounts/demo", number)
            client.close()
        assert [json.loads(await subscriber.recv())["data"] for _ in range(100)] == list(range(100))


def test_pages_of_its_own_https_origin_may_publish(gateway: Gateway, authority: Authority) -> None:
    for origin, status in ((gateway.url, 200), ("https://evil.example", 403)):
        headers, verify = {"Origin": origin}, str(authority.path)
        answer = requests.post(f"{gateway.url}/channels/chat", json=1, headers=headers, verify=verify, timeout=5)
        assert answer.status_code == status


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"\x00"]
)
def test_what_is_no_tls_ends_the_connection_and_leaves_no_trace(gateway: Gateway, garbage: bytes) -> None:
    with socket.create_connection((gateway.host, gateway.port), 10) as plain:
        plain.sendall(garbage)
        plain.shutdown(socket.SHUT_WR)
        try:
            while plain.recv(1000):
                pass
        except ConnectionError:
            pass
    assert gateway.problems == []


def test_a_handshake_that_does_not_come_is_not_waited_for(gateway: Gateway) -> None:
    with socket.create_connection((gateway.host, gateway.port), 10) as silent:
        assert silent.recv(1) == b""  # after header_seconds, long before the socket's own limit


def test_a_connection_cut_without_goodbye_leaves_no_trace(gateway: Gateway, trusting: ssl.SSLContext) -> None:
    for _ in range(5):
        raw = gateway.connect(trusting)
        raw.send(f"GET {DEMO}?since=0 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        raw.head()
        raw.close()
    assert gateway.problems == []


def test_a_sender_posts_to_it_with_the_authority_and_not_without(
    gateway: Gateway, authority: Authority, tmp_path: Path
) -> None:
    store = open_store("memory://")
    register(store, gateway.url, is_open=True)
    batch = parcels(3)
    sender_of(store, "", str(authority.path)).publish(batch)
    assert [parcel.published for parcel in batch] == [True] * 3
    stranger = Authority(tmp_path, "stranger")
    for ca in ("", str(stranger.path), "/nowhere.pem"):
        untrusting = parcels(1, account="other")
        with pytest.raises(AssertionError, match="written directly"):
            sender_of(store, "", ca).publish(untrusting)


def test_a_worker_delivers_through_it(gateway: Gateway, authority: Authority, folder: Path, spawn: Spawn) -> None:
    environ = {
        "SKYHOOKS_STORE": f"sqlite://{folder}/s.db",
        "SKYHOOKS_BROKER": f"file://{folder}/broker",
        "SKYHOOKS_SPOOL": str(folder / "spool"),
        "SKYHOOKS_CA": str(authority.path),
    }
    worker = spawn(
        [sys.executable, "-P", "-m", "celery", "-A", "workers.app", "worker", "-P", "solo", "--loglevel", "INFO"],
        environ,
    )
    worker.wait_for(" ready")
    client = Client(gateway.url, ca=str(authority.path))
    submitted = client.submit("workers.tasks.add", (2, 3), account="secure")
    followed = client.tail("accounts/secure", "0")
    deadline = time.monotonic() + 30
    for item in followed:
        assert time.monotonic() < deadline
        if item.data.get("end"):
            break
    assert (item.data["task_id"], item.data["result"]) == (submitted.task_id, 5)
    client.close()
    assert "gateway_unreachable" not in worker.output
    assert "append" not in worker.output


def test_the_name_in_the_certificate_may_be_given_as_the_nodes_url(
    files: tuple[str, ...], authority: Authority, tmp_path: Path
) -> None:
    url = f"sqlite://{tmp_path}/s.db"
    with running("--open", "--store", url, "-X", "public_url=https://gateway.example:8443/", *files) as gateway:
        assert gateway.url == "https://gateway.example:8443"


def test_ipv6_carries_it_too(files: tuple[str, ...], authority: Authority) -> None:
    with running("--open", *files, listen="::1") as gateway:
        assert gateway.url == f"https://[::1]:{gateway.port}"
        store = open_store("memory://")
        register(store, gateway.url, is_open=True)
        batch = parcels(2)
        sender_of(store, "", str(authority.path)).publish(batch)
        assert [parcel.published for parcel in batch] == [True] * 2


def test_a_client_names_what_is_wrong_with_its_authority(gateway: Gateway) -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        Client(gateway.url, ca="/nowhere.pem")
    with pytest.raises(Unreachable):
        Client(gateway.url).publish("chat", 1)


def test_a_gateway_with_wrong_files_says_so_and_does_not_start(spawn: Spawn) -> None:
    argv = [sys.executable, "-P", "-m", "gateway", "--open", "--store", "memory://", "--listen", "127.0.0.1:0"]
    process = spawn([*argv, "-X", "tls_certificate=/nowhere.pem"])
    assert process.wait() == 1
    assert "/nowhere.pem" in process.output
    assert "Traceback" not in process.output
