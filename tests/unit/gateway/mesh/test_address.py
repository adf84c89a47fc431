"""One base address gives the endpoints of a node or a forwarder."""

import pytest

from gateway.mesh.address import announced, forwarder_endpoints, node_endpoints
from skyhooks.errors import SettingsError


def test_a_path_gets_suffixes() -> None:
    assert node_endpoints("ipc:///run/skyhooks/a") == (
        "ipc:///run/skyhooks/a.pub",
        "ipc:///run/skyhooks/a.rpc",
        "ipc:///run/skyhooks/a.journal",
    )
    assert forwarder_endpoints("ipc:///run/f") == ("ipc:///run/f.in", "ipc:///run/f.out")


def test_a_port_is_followed_by_its_neighbours() -> None:
    assert node_endpoints("tcp://10.0.0.7:7000") == (
        "tcp://10.0.0.7:7000",
        "tcp://10.0.0.7:7001",
        "tcp://10.0.0.7:7002",
    )
    assert node_endpoints("tcp://[fd00::1]:65533").journal == "tcp://[fd00::1]:65535"
    assert forwarder_endpoints("tcp://127.0.0.1:7100") == ("tcp://127.0.0.1:7100", "tcp://127.0.0.1:7101")


def test_port_0_is_a_free_one_for_each() -> None:
    assert set(node_endpoints("tcp://127.0.0.1:0")) == {"tcp://127.0.0.1:0"}


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("", "expected ipc:"),
        ("ipc://relative", "expected ipc:"),
        ("tcp://127.0.0.1", "expected ipc:"),
        ("tcp://127.0.0.1:x", "expected ipc:"),
        ("tcp://127.0.0.1:7000/x", "expected ipc:"),
        ("tcp://eth0;127.0.0.1:7000", "expected ipc:"),
        ("http://127.0.0.1:7000", "expected ipc:"),
        ("tcp://127.0.0.1:65534", "65535 is the last"),
        ("tcp://127.0.0.1:99999", "65535 is the last"),
        (f"ipc:///{'x' * 99}", "108 bytes"),
    ],
)
def test_anything_else_is_refused_with_what_was_expected(base: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        node_endpoints(base)


def test_a_path_of_the_longest_length_is_taken() -> None:
    assert len(node_endpoints(f"ipc:///{'x' * 98}").journal) == len("ipc://") + 107


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "*", "[::]"])
def test_who_listens_everywhere_is_reached_under_its_host(wildcard: str) -> None:
    assert announced(f"tcp://{wildcard}:7000", "10.0.0.7") == "tcp://10.0.0.7:7000"
    assert announced(f"tcp://{wildcard}:7000", "fd00::1") == "tcp://[fd00::1]:7000"


def test_any_other_endpoint_is_announced_as_it_is() -> None:
    for endpoint in ("tcp://10.0.0.8:7000", "ipc:///run/a.pub"):
        assert announced(endpoint, "10.0.0.7") == endpoint
