import pytest

from gateway.node import Node, parse_listen
from gateway.settings import NodeSettings
from skyhooks.errors import SettingsError
from skyhooks.lifecycle import State
from skyhooks.registry import Registry
from skyhooks.store import open_store
from tests.certificates import Authority
from tests.unit.gateway.nodes import call, running, stream
from tests.unit.gateway.stores import until


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:0", ("::1", 0)), ("localhost:1", ("localhost", 1))],
)
def test_an_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert parse_listen(text) == address


@pytest.mark.parametrize("text", ["", "8080", "host:", ":8080", "host:x", "host:99999"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1:8080"):
        parse_listen(text)


def test_a_node_does_not_start_without_secret_unless_it_is_open() -> None:
    with pytest.raises(SettingsError, match="SKYHOOKS_SECRET"):
        Node(NodeSettings(store="memory://"))


def test_a_leader_may_miss_a_heartbeat() -> None:
    with pytest.raises(SettingsError, match=r"at least twice heartbeat_seconds; got 1.9 and 1$"):
        Node(NodeSettings(store="memory://", open=True, leader_lease_seconds=1.9))
    Node(NodeSettings(store="memory://", open=True, leader_lease_seconds=2.0))


@pytest.mark.parametrize("is_open", [True, False])
def test_a_node_listens_on_loopback_only(is_open: bool) -> None:
    with pytest.raises(SettingsError, match="loopback"):
        Node(NodeSettings(listen="0.0.0.0:80", open=is_open))


async def test_two_nodes_on_one_store_show_each_others_publications(tmp_path) -> None:
    store = f"sqlite://{tmp_path}/s.db"
    async with (
        running(store=store) as one,
        running(store=store) as other,
        stream(other, "/channels/accounts/a") as lines,
    ):
        assert await lines.json() == {"position": "0"}
        for value in range(20):
            await call(one if value % 2 else other, "POST", "/channels/accounts/a", json=value)
        assert [(await lines.json())["data"] for _ in range(20)] == list(range(20))


async def test_a_position_of_one_node_is_good_on_the_other(tmp_path) -> None:
    store = f"sqlite://{tmp_path}/s.db"
    async with running(store=store) as one, running(store=store) as other:
        positions = [(await call(one, "POST", "/channels/accounts/a", json=n)).json()["position"] for n in range(7)]
        async with stream(other, f"/channels/accounts/a?since={positions[1]}") as lines:
            assert await lines.json() == {"position": positions[1]}
            assert [(await lines.json())["data"] for _ in range(5)] == [2, 3, 4, 5, 6]


async def test_a_node_registers_and_withdraws(tmp_path) -> None:
    registry = Registry(open_store(f"sqlite://{tmp_path}/s.db"))
    async with running(store=f"sqlite://{tmp_path}/s.db", node_id="n1") as node:
        await until(lambda: [(one.id, one.url) for one in registry.nodes()] == [("n1", node.url)])
        async with stream(node, "/channels/accounts/7"):
            await until(lambda: registry.gateways({"account_id": 7}) == [f"{node.url}/hooks"])
    assert registry.nodes() == []
    assert registry.list() == []


async def test_a_redelivered_result_shows_everywhere_what_the_log_holds(tmp_path) -> None:
    store = f"sqlite://{tmp_path}/s.db"

    def result(value: int) -> dict:
        mark = {"run": f"r{value}", "retries": 0, "state": "SUCCESS"}
        return {"id": "t:end", "keys": {"task_id": "t", "account_id": "a"}, "data": value, "task": mark}

    async with (
        running(store=store) as one,
        running(store=store, heads_seconds=2.0) as other,
        stream(one, "/channels/accounts/a") as on_one,
        stream(other, "/channels/accounts/a") as on_other,
    ):
        assert await on_one.json() == await on_other.json() == {"position": "0"}
        answers = [(await call(node, "POST", "/hooks", json=result(n))).json() for n, node in ((1, one), (2, other))]
        assert [answer["items"][0]["status"] for answer in answers] == ["stored", "duplicate"]
        assert await on_one.json() == await on_other.json()


def test_a_node_id_that_cannot_be_registered_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match="node_id"):
        Node(NodeSettings(store="memory://", open=True, node_id="gw 1"))


async def test_a_chore_that_fails_makes_the_node_unready(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as node:
        monkeypatch.setattr(node.subscriptions.hub, "announce", None)
        await call(node, "POST", "/channels/accounts/a", json=1)
        await until(lambda: any(child.state is State.FAILED for child, _ in node.children))
        answer = await call(node, "GET", "/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert "log has failed" in answer.json()["detail"]


async def test_a_stopping_node_ends_its_streams() -> None:
    node = Node(NodeSettings(listen="127.0.0.1:0", store="memory://", open=True))
    await node.start()
    async with stream(node, "/channels/accounts/a") as lines:
        await lines.json()
        await node.stop()
        assert await lines.reader.read() == b"0\r\n\r\n"


async def test_health_and_status_are_answered() -> None:
    async with running(node_id="n1") as node:
        assert (await call(node, "GET", "/healthz")).status_code == 200
        assert (await call(node, "GET", "/readyz")).status_code == 200
        assert (await call(node, "GET", "/api/status")).json()["node"] == "n1"


async def test_an_ipv6_address_stands_in_brackets_in_the_nodes_url() -> None:
    async with running(listen="[::1]:0") as node:
        assert node.url == f"http://[::1]:{node.port}"
        assert (await call(node, "GET", "/healthz")).json() == {"status": "ok"}


async def test_a_nodes_url_may_be_given(tmp_path) -> None:
    given = {"listen": "127.0.0.1:0", "open": "yes", "store": "memory://", "public_url": "https://hooks.example/"}
    settings = NodeSettings.load({}, given)
    assert Node(settings).url == "https://hooks.example"


async def test_with_a_certificate_a_node_speaks_https(tmp_path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("loopback", "IP:127.0.0.1")
    async with running(tls_certificate=str(certificate), tls_key=str(key)) as node:
        assert node.url == f"https://127.0.0.1:{node.port}"
        answer = await call(node, "GET", "/api/status", verify=str(authority.path))
        assert answer.json()["node"] == node.id


def test_a_certificate_that_cannot_be_used_is_refused_at_the_start() -> None:
    with pytest.raises(SettingsError, match="tls_certificate"):
        Node(NodeSettings(store="memory://", open=True, tls_certificate="/nowhere.pem"))
