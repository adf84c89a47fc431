"""The mesh between two hosts: network namespaces joined by a cable, with CURVE. It needs root, and fails without."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from skyhooks.keys import make_keys, write_keys
from tests.integration.mesh_stage import MeshNode, meet
from tests.processes import eventually

HERE, THERE = "10.213.77.1", "10.213.77.2"
PREFIX = f"sky{os.getpid() % 100_000}"


def ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=20)
    if done.returncode:
        raise AssertionError(f"ip {' '.join(arguments)}: {done.stderr.strip()} (this test needs root and iproute2)")


@pytest.fixture
def hosts() -> Iterator[tuple[list[str], list[str]]]:
    """What runs a command on one host, and on the other."""
    names = [f"{PREFIX}a", f"{PREFIX}b"]
    made: list[str] = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
        ip("link", "add", names[0], "netns", names[0], "type", "veth", "peer", "name", names[1], "netns", names[1])
        for name, address in zip(names, (HERE, THERE), strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", name)
            ip("-n", name, "link", "set", name, "up")
            ip("-n", name, "link", "set", "lo", "up")
        here, there = (["ip", "netns", "exec", name] for name in names)
        yield here, there
    finally:
        for name in made:
            ip("netns", "delete", name)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Keys of three, of which two are allowed."""
    pairs = {name: make_keys() for name in ("one", "other", "stranger")}
    for name, pair in pairs.items():
        write_keys(tmp_path, name, pair)
    (tmp_path / "allowed").write_text(f"{pairs['one'].public}\n{pairs['other'].public}\n")
    return tmp_path


def test_two_hosts_hear_each_other_and_a_stranger_nothing(hosts: tuple[list[str], list[str]], keys: Path) -> None:
    nodes: list[MeshNode] = []
    try:
        nodes.append(one := MeshNode("one", f"tcp://{HERE}:7000", keys=keys, inside=hosts[0]))
        nodes.append(other := MeshNode("other", f"tcp://{THERE}:7000", keys=keys, inside=hosts[1]))
        nodes.append(stranger := MeshNode("stranger", f"tcp://{THERE}:7100", keys=keys, inside=hosts[1]))
        for node in nodes:
            node.tell("subscribe", "numbers")
        meet(*nodes)
        eventually(lambda: one.stats()["denied"], what="the stranger is turned away")
        one.hears(other)
        other.hears(one)
        one.publish("numbers", "e", 1, 200)
        other.publish("numbers", "e", 1, 200)
        eventually(lambda: other.heard(one, "e") == one.heard(other, "e") == list(range(1, 201)))
        stranger.publish("numbers", "lie", 1)
        assert not [fact for fact in stranger.said if "heard" in fact]
        assert one.heard(stranger, "lie") == other.heard(stranger, "lie") == []
        assert any("mesh_key_denied" in line for line in one.output)
    finally:
        for node in nodes:
            node.close()


def test_a_host_refuses_to_listen_without_keys(hosts: tuple[list[str], list[str]]) -> None:
    with pytest.raises(AssertionError, match="skyhooks keys"):
        MeshNode("one", f"tcp://{HERE}:7000", inside=hosts[0])
