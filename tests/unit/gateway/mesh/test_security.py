"""Who is let in: allowed keys, in both directions, and nobody else."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import zmq
from structlog.testing import capture_logs
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

from gateway.mesh.security import (
    DOMAIN,
    Security,
    is_local,
    make_keys,
    require_curve,
    secure_client,
    secure_server,
)
from gateway.mesh.socket import Context, LoopSocket
from skyhooks.errors import SettingsError
from skyhooks.keys import Keys, write_keys
from tests.unit.gateway.mesh.test_socket import until

KEYS = {name: make_keys() for name in ("server", "client", "stranger")}


def allow(folder: Path, *names: str) -> Path:
    for name in names:
        write_keys(folder, name, KEYS[name])
    return folder


class Port:
    """A server that takes allowed keys only, and whoever tries it."""

    def __init__(self, security: Security) -> None:
        self.context: Context = zmq.Context()
        self.security = security
        security.open(self.context)
        self.got: list[bytes] = []
        self.sockets = [LoopSocket(self.context, zmq.PULL, lambda parts: self.got.append(parts[0]))]
        secure_server(self.sockets[0], "tcp://127.0.0.1:0", security)
        self.endpoint = self.sockets[0].bind("tcp://127.0.0.1:0")

    def send(self, message: bytes, keys: Keys | None, server: Keys = KEYS["server"]) -> LoopSocket:
        """Send as the owner of `keys`, who takes the owner of `server` to be there."""
        socket = LoopSocket(self.context, zmq.PUSH)
        self.sockets.append(socket)
        if keys:
            socket.raw.setsockopt(zmq.CURVE_PUBLICKEY, keys.public.encode())
            socket.raw.setsockopt(zmq.CURVE_SECRETKEY, keys.secret.encode())
            socket.raw.setsockopt(zmq.CURVE_SERVERKEY, server.public.encode())
        socket.connect(self.endpoint)
        socket.send([message])
        return socket

    async def close(self) -> None:
        for socket in self.sockets:
            socket.close(0)
        self.security.close()
        await asyncio.to_thread(self.context.term)


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Port]:
    port = Port(Security(KEYS["server"], allow(tmp_path, "client")))
    yield port
    await port.close()


async def test_an_allowed_key_is_let_in_and_so_is_ones_own(port: Port) -> None:
    port.send(b"client", KEYS["client"])
    port.send(b"own", KEYS["server"])
    await until(lambda: len(port.got) == 2)
    assert port.security.denied == 0


async def test_a_strangers_key_gets_nothing_and_is_named_once(port: Port) -> None:
    with capture_logs() as logs:
        port.send(b"stranger", KEYS["stranger"])
        await until(lambda: port.security.denied)
        port.send(b"again", KEYS["stranger"])
        await until(lambda: port.security.denied > 1)
    port.send(b"client", KEYS["client"])
    await until(lambda: port.got)
    assert port.got == [b"client"]
    assert [(one["event"], one["key"]) for one in logs] == [("mesh_key_denied", KEYS["stranger"].public)]


async def test_who_has_no_key_or_takes_us_for_another_gets_nothing(port: Port) -> None:
    port.send(b"plain", None)
    port.send(b"mistaken", KEYS["client"], server=KEYS["stranger"])
    port.send(b"client", KEYS["client"])
    await until(lambda: port.got)
    assert port.got == [b"client"]


async def test_a_reload_lets_in_who_was_added(port: Port, tmp_path: Path) -> None:
    port.send(b"stranger", KEYS["stranger"])
    await until(lambda: port.security.denied)
    allow(tmp_path, "stranger")
    port.security.reload()
    port.send(b"friend", KEYS["stranger"])
    await until(lambda: b"friend" in port.got)


async def test_a_list_that_cannot_be_read_leaves_the_old_one_in_force(port: Port, tmp_path: Path) -> None:
    (tmp_path / "broken.pub").write_text("nonsense")
    with pytest.raises(SettingsError, match=r"broken\.pub, line 1"):
        port.security.reload()
    assert port.security.allows(KEYS["client"].public)


async def test_without_a_handler_nobody_is_let_in(port: Port) -> None:
    port.security.close()
    client = port.send(b"client", KEYS["client"])
    monitor = client.raw.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
    try:
        seen = []
        while len(seen) < 3:
            await until(lambda: monitor.poll(0))
            seen.append(recv_monitor_message(monitor)["event"])
    finally:
        client.raw.disable_monitor()
    assert set(seen) == {zmq.EVENT_DISCONNECTED}
    assert port.got == []
    port.security.open(port.context)
    await until(lambda: port.got)


async def test_the_handler_lives_as_long_as_somebody_uses_it(port: Port) -> None:
    port.security.open(port.context)
    port.security.close()
    port.send(b"client", KEYS["client"])
    await until(lambda: port.got)


async def test_a_second_context_is_a_mistake_of_the_node(port: Port) -> None:
    other: Context = zmq.Context()
    with pytest.raises(RuntimeError, match="share one ZeroMQ context"):
        port.security.open(other)
    other.term()


def _request(**changes: bytes) -> list[bytes]:
    fields = {
        "version": b"1.0",
        "id": b"7",
        "domain": DOMAIN,
        "address": b"192.0.2.1",
        "identity": b"",
        "mechanism": b"CURVE",
        "key": z85.decode(KEYS["server"].public.encode()),
    }
    return list((fields | changes).values())


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (_request(), b"200"),
        (_request(key=z85.decode(KEYS["stranger"].public.encode())), b"400"),
        (_request(domain=b"other"), b"400"),
        (_request(mechanism=b"NULL"), b"400"),
        (_request(version=b"2.0"), b"400"),
        (_request(key=b"short"), b"400"),
        ([b"1.0", b"7"], b"400"),
        ([b""], b"400"),
    ],
)
async def test_each_request_gets_one_answer(request_: list[bytes], status: bytes) -> None:
    answer = Security(KEYS["server"])._answer(request_)
    assert (len(answer), answer[0], answer[2]) == (6, b"1.0", status)
    assert answer[1] == (request_[1] if len(request_) > 1 else b"")


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("ipc:///run/a.pub", True),
        ("inproc://a", True),
        ("tcp://127.0.0.1:7000", True),
        ("tcp://127.8.8.8:7000", True),
        ("tcp://[::1]:7000", True),
        ("tcp://localhost:7000", True),
        ("tcp://10.0.0.1:7000", False),
        ("tcp://0.0.0.0:7000", False),
        ("tcp://*:7000", False),
        ("tcp://eth0:7000", False),
        ("tcp://[fd00::1]:7000", False),
        ("tcp://localhost.example:7000", False),
        ("udp://127.0.0.1:7000", False),
    ],
)
def test_only_what_this_machine_alone_reaches_may_be_open(endpoint: str, local: bool) -> None:
    assert is_local(endpoint) is local
    require_curve(endpoint, Security(KEYS["server"]))
    if local:
        require_curve(endpoint, None)
    else:
        with pytest.raises(SettingsError, match="skyhooks keys"):
            require_curve(endpoint, None)


@pytest.mark.parametrize(
    ("key", "mine", "expected"),
    [
        (KEYS["client"].public, None, "this node has no keys"),
        ("", KEYS["server"], "expected a key"),
        (KEYS["stranger"].public, KEYS["server"], "not among the allowed"),
    ],
    ids=["keyless", "plain", "stranger"],
)
async def test_nothing_falls_back_to_plain_text(key: str, mine: Keys | None, expected: str) -> None:
    context: Context = zmq.Context()
    socket = LoopSocket(context, zmq.SUB)
    with pytest.raises(SettingsError, match=expected):
        secure_client(socket, key, Security(mine) if mine else None)
    socket.close(0)
    context.term()
