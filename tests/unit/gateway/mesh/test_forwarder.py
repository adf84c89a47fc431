"""A forwarder stands in for the connections between nodes."""

import asyncio
from pathlib import Path

import pytest

from gateway.mesh.forwarder import Forwarder
from gateway.mesh.security import Security
from skyhooks.errors import SettingsError
from skyhooks.keys import make_keys
from tests.processes import free_ports
from tests.unit.gateway.mesh.meshes import QUICK, Nodes, publication, until


async def test_nodes_hear_each_other_and_not_themselves(tmp_path: Path) -> None:
    base = f"ipc://{tmp_path}/forwarder"
    forwarder = Forwarder(base, options=QUICK)
    await forwarder.start()
    nodes = Nodes(tmp_path)
    three = [await nodes.start(f"n{number}", forwarder=base) for number in range(3)]
    nodes.meet()
    for node in three:
        for other in three:
            if node is not other:
                await node.hears(other)
    for node in three:
        node.heard.clear()
    for number, node in enumerate(three):
        node.mesh.publish("numbers", f"by{number}", (publication(1),))
    await until(lambda: all(len({frame.node for frame in node.heard if "by" in frame.epoch}) == 2 for node in three))
    assert all(node.mesh.node not in {frame.node for frame in node.heard} for node in three)
    assert [node.mesh.stats().peers for node in three] == [0, 0, 0]
    await nodes.stop()
    await forwarder.stop()


async def test_nothing_is_sent_to_it_that_nobody_wants(tmp_path: Path) -> None:
    base = f"ipc://{tmp_path}/forwarder"
    forwarder = Forwarder(base, options=QUICK)
    await forwarder.start()
    nodes = Nodes(tmp_path)
    one, other = await nodes.start("one", forwarder=base), await nodes.start("other", forwarder=base)
    await other.hears(one)
    sent = one.mesh.stats().sent
    one.mesh.publish("accounts/1", "e", (publication(1),))
    await asyncio.sleep(0)
    assert one.mesh.stats().sent == sent
    other.mesh.unsubscribe("numbers")
    await until(lambda: one.mesh.stats().wanted == 0)
    await nodes.stop()
    await forwarder.stop()


async def test_a_forwarder_that_comes_back_is_found_again(tmp_path: Path) -> None:
    base = f"tcp://127.0.0.1:{free_ports(2)}"
    first = Forwarder(base, options=QUICK)
    await first.start()
    nodes = Nodes(tmp_path)
    one, other = await nodes.start("one", forwarder=base), await nodes.start("other", forwarder=base)
    await other.hears(one)
    await first.stop()
    await until(lambda: one.mesh.stats().wanted == 0)
    second = Forwarder(base, options=QUICK)
    await second.start()
    await other.hears(one)
    await nodes.stop()
    await second.stop()


async def test_with_keys_only_friends_get_through(tmp_path: Path) -> None:
    base = f"tcp://127.0.0.1:{free_ports(2)}"
    middle, friend, stranger = make_keys(), make_keys(), make_keys()
    (tmp_path / "allowed").write_text(f"{friend.public}\n{middle.public}\n")
    forwarder = Forwarder(base, Security(middle, tmp_path / "allowed"), QUICK)
    await forwarder.start()
    nodes = Nodes(tmp_path)
    through = {"forwarder": base, "forwarder_key": middle.public}
    one = await nodes.start("one", Security(friend, tmp_path / "allowed"), **through)
    other = await nodes.start("other", Security(friend, tmp_path / "allowed"), **through)
    outside = await nodes.start("outside", Security(stranger, tmp_path / "allowed"), **through)
    outside.mesh.subscribe("numbers")
    await other.hears(one)
    await until(lambda: forwarder.denied)
    assert outside.heard == []
    await nodes.stop()
    await forwarder.stop()


@pytest.mark.parametrize("listen", ["tcp://127.0.0.1:0", "nonsense"])
async def test_an_address_that_nodes_cannot_know_is_refused(listen: str) -> None:
    with pytest.raises(SettingsError):
        Forwarder(listen)


async def test_an_open_port_without_keys_is_refused_and_leaves_nothing_behind() -> None:
    forwarder = Forwarder(f"tcp://0.0.0.0:{free_ports(2)}")
    with pytest.raises(SettingsError, match="skyhooks keys"):
        await forwarder.start()
    await forwarder.stop()
