"""The mesh of a node: who hears what, in which order, and what is refused."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import zmq
from structlog.testing import capture_logs

from gateway.mesh.frames import topic_of
from gateway.mesh.security import Security
from gateway.mesh.socket import Context, LoopSocket, SocketOptions
from gateway.mesh.transport import Mesh, MeshOptions
from skyhooks.errors import SettingsError
from skyhooks.keys import make_keys
from skyhooks.publication import Position
from tests.unit.gateway.mesh.meshes import QUICK, Node, Nodes, publication, until


@pytest.fixture(params=["ipc", "tcp"])
async def nodes(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Nodes]:
    nodes = Nodes(tmp_path, request.param)
    yield nodes
    await nodes.stop()


@pytest.fixture
async def pair(nodes: Nodes) -> tuple[Node, Node]:
    """Two that know each other; the second hears ``numbers`` from the first."""
    one, other = await nodes.start("one"), await nodes.start("other")
    nodes.meet()
    await other.hears(one)
    return one, other


async def test_what_is_published_in_one_turn_arrives_as_one_frame(pair: tuple[Node, Node]) -> None:
    one, other = pair
    for offset in range(1, 6):
        one.mesh.publish("numbers", "e", (publication(offset, b'{"n": 1}'),))
    await until(lambda: other.heard)
    (frame,) = other.heard
    assert (frame.channel, frame.epoch, frame.head, frame.node) == ("numbers", "e", 0, "one")
    assert frame.publications == tuple(publication(offset, b'{"n": 1}') for offset in range(1, 6))


async def test_turns_arrive_in_order(pair: tuple[Node, Node]) -> None:
    one, other = pair
    for offset in range(1, 501):
        one.mesh.publish("numbers", "", (publication(offset),))
        await asyncio.sleep(0)
    await until(lambda: len(other.offsets) == 500)
    assert other.offsets == list(range(1, 501))


async def test_nothing_is_encoded_for_a_channel_that_no_peer_wants(pair: tuple[Node, Node]) -> None:
    one, other = pair
    sent = one.mesh.stats().sent
    one.mesh.publish("number", "e", (publication(1),))
    one.mesh.publish("numbers2", "e", (publication(1),))
    one.mesh.announce("accounts/1", Position("e", 7))
    one.mesh.publish("numbers", "e", (publication(1),))
    await until(lambda: other.heard)
    assert one.mesh.stats().sent == sent + 1


async def test_a_channel_that_is_let_go_of_is_no_longer_sent(pair: tuple[Node, Node]) -> None:
    one, other = pair
    other.mesh.unsubscribe("numbers")
    await until(lambda: one.mesh.stats().wanted == 0)
    one.mesh.publish("numbers", "e", (publication(1),))
    await other.hears(one, "announce")
    assert other.heard == []


async def test_a_peer_that_dies_wants_nothing(nodes: Nodes, pair: tuple[Node, Node]) -> None:
    one, other = pair
    await other.mesh.stop()
    await until(lambda: one.mesh.stats().wanted == 0)


async def test_a_head_is_announced_without_data(pair: tuple[Node, Node]) -> None:
    one, other = pair
    one.mesh.announce("numbers", Position("e", 7))
    one.mesh.announce("numbers", Position("e", 6))
    await until(lambda: other.heard)
    assert [(frame.publications, frame.head) for frame in other.heard] == [((), 7)]


async def test_much_data_is_announced_where_there_is_a_log_and_carried_where_there_is_none(
    nodes: Nodes,
) -> None:
    one, other = await nodes.start("one", frame_bytes=1000), await nodes.start("other")
    nodes.meet()
    await other.hears(one)
    large = b"1" * 2000
    one.mesh.publish("numbers", "e", (publication(1, large), publication(2)))
    await until(lambda: other.heard)
    assert [(frame.publications, frame.head) for frame in other.heard] == [((), 2)]
    other.heard.clear()
    one.mesh.publish("numbers", "", (publication(1, large), publication(2), publication(3, large)))
    await until(lambda: len(other.offsets) == 3)
    assert other.offsets == [1, 2, 3]


async def test_what_no_message_can_carry_is_counted_not_sent(nodes: Nodes) -> None:
    options = SocketOptions(max_part=10_000, retry_seconds=0.02)
    one, other = await nodes.start("one", socket=options), await nodes.start("other", socket=options)
    nodes.meet()
    await other.hears(one)
    one.mesh.publish("numbers", "", (publication(1, b"1" * 20_000), publication(2)))
    await until(lambda: other.heard)
    assert (other.offsets, one.mesh.stats().oversized) == ([2], 1)


async def test_epochs_do_not_mix_in_a_frame(pair: tuple[Node, Node]) -> None:
    one, other = pair
    one.mesh.publish("numbers", "old", (publication(1),))
    one.mesh.publish("numbers", "new", (publication(2),))
    one.mesh.announce("numbers", Position("newer", 3))
    await until(lambda: len(other.heard) == 3)
    assert [frame.epoch for frame in other.heard] == ["old", "new", "newer"]


async def test_every_pair_delivers_and_nobody_hears_itself(nodes: Nodes) -> None:
    five = [await nodes.start(f"n{number}") for number in range(5)]
    nodes.meet()
    for node in five:
        for other in five:
            if node is not other:
                await node.hears(other)
    for node in five:
        node.heard.clear()
    for number, node in enumerate(five):
        node.mesh.publish("numbers", f"by{number}", (publication(1),))
    await until(lambda: all(len({frame.node for frame in node.heard if "by" in frame.epoch}) == 4 for node in five))
    for node in five:
        assert node.mesh.node not in {frame.node for frame in node.heard}


async def test_who_comes_late_hears_what_comes_after(nodes: Nodes, pair: tuple[Node, Node]) -> None:
    one, _ = pair
    late = await nodes.start("late")
    late.mesh.subscribe("numbers")
    nodes.meet()
    await late.hears(one)
    one.mesh.publish("numbers", "e", (publication(9),))
    await until(lambda: late.offsets)
    assert late.offsets == [9]


async def test_a_peer_that_left_the_roster_is_let_go_of(nodes: Nodes, pair: tuple[Node, Node]) -> None:
    one, other = pair
    other.mesh.follow({"other": other.member()})
    assert other.mesh.stats().peers == 0
    await until(lambda: one.mesh.stats().wanted == 0)


async def test_a_peer_that_runs_anew_is_connected_to_anew(nodes: Nodes, pair: tuple[Node, Node]) -> None:
    one, other = pair
    endpoint = one.mesh.endpoint
    await one.mesh.stop()
    again = await nodes.start("one", bind=endpoint)
    other.mesh.follow({"one": again.member(incarnation="2"), "other": other.member()})
    await other.hears(again)
    again.mesh.publish("numbers", "e", (publication(1),))
    await until(lambda: other.offsets)


async def test_a_roster_with_oneself_in_it_under_any_name_connects_to_nobody(nodes: Nodes) -> None:
    node = await nodes.start("one")
    me = node.member()
    node.mesh.follow({"one": me, "two": node.member(id="two"), "three": node.member(id="three", incarnation="2")})
    assert node.mesh.stats().peers == 0


async def test_two_names_of_one_peer_are_one_connection(nodes: Nodes, pair: tuple[Node, Node]) -> None:
    one, other = pair
    other.mesh.follow({"one": one.member(), "twin": one.member(id="twin")})
    await other.hears(one)
    one.mesh.publish("numbers", "e", (publication(1),))
    one.mesh.publish("numbers", "e", (publication(2),))
    await other.hears(one, "announce")
    assert other.offsets == [1, 2]


async def test_members_without_a_mesh_or_with_nonsense_are_left_out(nodes: Nodes, pair: tuple[Node, Node]) -> None:
    one, other = pair
    bad = {"nonsense": "tcp://nonsense", "scheme": "inproc://x", "open": "tcp://192.0.2.1:7000"}
    members = {id: one.member(id=id, mesh=endpoint) for id, endpoint in bad.items()}
    with capture_logs() as logs:
        for _ in range(3):
            other.mesh.follow({**members, "one": one.member(), "none": one.member(id="none", mesh="")})
    assert other.mesh.stats().peers == 1
    assert sorted(one["peer"] for one in logs) == sorted(bad)


async def test_frames_that_the_hook_drops_are_lost_and_counted(pair: tuple[Node, Node]) -> None:
    one, other = pair
    turn = iter(range(1000))
    other.mesh.drop = lambda: next(turn) % 2 == 0
    for offset in range(1, 11):
        one.mesh.publish("numbers", "e", (publication(offset),))
        await asyncio.sleep(0)
    await until(lambda: other.mesh.stats().dropped == 5 and len(other.heard) == 5)
    assert other.offsets == [2, 4, 6, 8, 10]


async def test_messages_that_are_no_frames_are_counted_and_logged_once_a_sender(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    node = await nodes.start("one")
    node.mesh.subscribe("numbers")
    context: Context = zmq.Context()
    liar = LoopSocket(context, zmq.XPUB, lambda parts: None, QUICK)
    endpoint = liar.bind(nodes.bind("liar"))
    node.mesh.follow({"liar": node.member(id="liar", mesh=endpoint)})
    topic = topic_of("numbers")
    bodies = [
        b"",
        b"\xc1garbage",
        msgspec.msgpack.encode((2, "future", "x")),
        msgspec.msgpack.encode((1, "b", 5, 0, [])),
    ]
    with capture_logs() as logs, caplog.at_level(logging.WARNING):
        while node.mesh.stats().refused < 40:
            for body in bodies:
                liar.send([topic + body])
            liar.send([topic, b"a part too many"])
            await asyncio.sleep(0.01)
    liar.close(0)
    await asyncio.to_thread(context.term)
    assert node.heard == []
    assert sorted(one["peer"] for one in logs) == ["b", "future", "unknown"]
    assert "got version 2" in next(one["problem"] for one in logs if one["peer"] == "future")
    assert caplog.records == []


async def test_subscriptions_that_name_no_channel_change_nothing(pair: tuple[Node, Node]) -> None:
    one, other = pair
    context: Context = zmq.Context()
    stranger = LoopSocket(context, zmq.XSUB, lambda parts: None, QUICK)
    stranger.connect(one.mesh.endpoint)
    with capture_logs() as logs:
        for message in (b"\x01", b"\x01num", b"\x01a b\0", b"garbage", b"\x01" + b"x" * 500 + b"\0"):
            stranger.send([message])
        await until(lambda: one.mesh.stats().refused == 5)
    assert one.mesh.stats().wanted == 1
    assert len(logs) == 1
    stranger.close(0)
    await asyncio.to_thread(context.term)
    one.mesh.publish("numbers", "e", (publication(1),))
    await until(lambda: other.offsets == [1])


async def test_garbage_on_the_port_is_survived(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "tcp")
    one, other = await nodes.start("one"), await nodes.start("other")
    nodes.meet()
    await other.hears(one)
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 300, b"\xff" * 64, b"\0" * 64):
        _, writer = await asyncio.open_connection("127.0.0.1", int(one.mesh.endpoint.rpartition(":")[2]))
        writer.write(garbage)
        writer.close()
    one.mesh.publish("numbers", "e", (publication(1),))
    await until(lambda: other.offsets == [1])
    assert one.mesh.stats().wanted == 1
    await nodes.stop()


async def test_with_keys_friends_hear_and_strangers_do_not(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "tcp")
    friends, stranger_keys = [make_keys(), make_keys()], make_keys()
    allowed = tmp_path / "allowed"
    allowed.write_text("".join(f"{keys.public}\n" for keys in friends))
    one = await nodes.start("one", Security(friends[0], allowed))
    other = await nodes.start("other", Security(friends[1], allowed))
    (tmp_path / "theirs").write_text(f"{friends[0].public}\n")
    stranger = await nodes.start("stranger", Security(stranger_keys, tmp_path / "theirs"))
    stranger.mesh.subscribe("numbers")
    nodes.meet()
    await until(lambda: one.mesh.stats().denied)
    await other.hears(one)
    assert stranger.mesh.stats().peers == 1
    assert stranger.heard == []
    await nodes.stop()


async def test_an_open_port_without_keys_is_refused(tmp_path: Path) -> None:
    mesh = Mesh(MeshOptions(bind="tcp://0.0.0.0:0"), lambda frame: None, node="one", security=None)
    with pytest.raises(SettingsError, match="skyhooks keys"):
        await mesh.start()


async def test_a_context_that_was_given_is_left_open(tmp_path: Path) -> None:
    context: Context = zmq.Context()
    options = MeshOptions(bind=f"ipc://{tmp_path}/x")
    mesh = Mesh(options, lambda frame: None, node="one", security=None, context=context)
    await mesh.start()
    await mesh.stop()
    await mesh.stop()
    assert not context.closed
    context.term()


async def test_a_peer_that_broke_the_protocol_is_tried_again(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "tcp")
    patient = SocketOptions(max_part=2000, retry_seconds=0.02, retry_most_seconds=0.1, linger_seconds=0.2)
    one, other = await nodes.start("one"), await nodes.start("other", socket=patient)
    nodes.meet()
    await other.hears(one)
    one.mesh.publish("numbers", "", (publication(1, b"1" * 3000),))
    await until(lambda: one.mesh.stats().wanted == 0)
    await other.hears(one)
    assert other.offsets == []
    await nodes.stop()


async def test_who_is_allowed_later_is_let_in_without_a_restart(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "tcp")
    server, client = make_keys(), make_keys()
    (tmp_path / "all").write_text(f"{server.public}\n{client.public}\n")
    (tmp_path / "list").write_text("")
    quick = SocketOptions(retry_most_seconds=0.1)
    security = Security(server, tmp_path / "list")
    one = await nodes.start("one", security)
    other = await nodes.start("other", Security(client, tmp_path / "all"), socket=quick)
    other.mesh.follow({"one": one.member()})
    await until(lambda: one.mesh.stats().denied > 1)
    (tmp_path / "list").write_text(client.public)
    security.reload()
    await other.hears(one)
    await nodes.stop()
