"""Questions from node to node, over real sockets: answers, errors that travel, deadlines."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
from structlog.testing import capture_logs

from gateway.cluster.roster import Member
from gateway.mesh.envelope import MARK, Question, Reply, pack, seal
from gateway.mesh.rpc import Rpc, RpcError, RpcFailed, RpcTimeout
from gateway.mesh.security import Security, make_keys
from gateway.mesh.socket import LoopSocket
from skyhooks.errors import Refused, SettingsError, StoreUnavailable
from tests.conftest import Spawn

LONG = 20.0
SHORT = 0.2
NODE = str(Path(__file__).with_name("rpc_node.py"))

Make = Callable[..., Awaitable[Rpc]]


async def until(condition: Callable[[], object], within: float = LONG) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """`make("n1")` is a node that listens at a socket of its name."""
    made: list[Rpc] = []

    async def call(node: str, bind: str = "", **options: Any) -> Rpc:
        rpc = Rpc(node, **options)
        made.append(rpc)
        await rpc.start(bind or f"ipc://{tmp_path}/{node}.rpc")
        return rpc

    yield call
    for rpc in made:
        await rpc.stop()


class Gate:
    """Answers that wait until the test opens it; counts who came and who was given up."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.came = 0
        self.given_up = 0

    async def __call__(self, payload: object) -> object:
        self.came += 1
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return payload


async def ask(
    asker: Rpc, asked: Rpc, name: str, payload: object = None, seconds: float = LONG, gives: Any = Any
) -> Any:
    return await asker.call(asked.endpoint, "", name, payload, seconds, gives)


async def echo(payload: object) -> object:
    return payload


class Point(msgspec.Struct):
    x: int
    y: int = 0


async def test_a_question_is_answered_with_structs_on_both_sides(make: Make) -> None:
    one, two = await make("n1"), await make("n2")

    async def mirror(point: Point) -> Point:
        return Point(point.y, point.x)

    two.handle("mirror", mirror, Point)
    assert await ask(one, two, "mirror", Point(1, 2), gives=Point) == Point(2, 1)
    assert (one.counters.asked, two.counters.answered) == (1, 1)


async def test_a_slow_question_holds_up_no_other(make: Make) -> None:
    one, two = await make("n1"), await make("n2")
    gate = Gate()
    two.handle("slow", gate)
    two.handle("echo", echo)
    slow = [asyncio.create_task(ask(one, two, "slow", number)) for number in range(20)]
    await until(lambda: gate.came == 20)
    assert await ask(one, two, "echo", "quick") == "quick"
    gate.open.set()
    assert await asyncio.gather(*slow) == list(range(20))


async def test_more_than_may_be_worked_on_is_told_so_at_once(make: Make) -> None:
    one, two = await make("n1"), await make("n2", most=2)
    gate = Gate()
    two.handle("slow", gate)
    slow = [asyncio.create_task(ask(one, two, "slow")) for _ in range(2)]
    await until(lambda: gate.came == 2)
    with pytest.raises(RpcFailed) as caught:
        await ask(one, two, "slow")
    assert (caught.value.code, two.counters.busy, gate.came) == ("busy", 1, 2)
    gate.open.set()
    await asyncio.gather(*slow)


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (Refused("bad_account", "an account is …", 400), "bad_account", "an account is …"),
        (StoreUnavailable("mongodb://user:sesame@host"), "store_unavailable", "the store cannot do this now"),
        (SettingsError("mesh is wrong"), "failed", "mesh is wrong"),
        (TypeError("sesame"), "internal", "the node failed; its log says why"),
        (RpcFailed("busy", "elsewhere"), "busy", "elsewhere"),
    ],
)
async def test_errors_travel(make: Make, error: Exception, code: str, detail: str) -> None:
    one, two = await make("n1"), await make("n2")

    async def fail(_: object) -> None:
        raise error

    two.handle("fail", fail)
    with capture_logs() as logs:
        for _ in range(2):
            with pytest.raises(RpcFailed) as caught:
                await ask(one, two, "fail")
            assert (caught.value.code, caught.value.detail) == (code, detail)
    assert [entry["event"] for entry in logs] == (["rpc_failed"] if code == "internal" else [])


async def test_what_is_not_known_or_not_understood_is_told(make: Make) -> None:
    one, two = await make("n1"), await make("n2")
    two.handle("echo", echo)
    two.handle("point", echo, Point)
    for name, payload, gives, code in (
        ("dance", None, Any, "unknown_question"),
        ("point", "no point", Any, "bad_payload"),
        ("echo", "text", int, "bad_answer"),
    ):
        with pytest.raises(RpcFailed) as caught:
            await ask(one, two, name, payload, gives=gives)
        assert caught.value.code == code
    assert await ask(one, two, "echo", 1) == 1


async def test_an_answer_that_cannot_travel_is_a_fault(make: Make) -> None:
    one, two = await make("n1"), await make("n2")

    async def strange(_: object) -> object:
        return object()

    two.handle("strange", strange)
    with pytest.raises(RpcFailed) as caught:
        await ask(one, two, "strange")
    assert caught.value.code == "internal"


async def test_both_sides_give_up_at_the_deadline(make: Make) -> None:
    one, two = await make("n1"), await make("n2")
    gate = Gate()
    two.handle("slow", gate)
    with pytest.raises(RpcTimeout):
        await ask(one, two, "slow", seconds=SHORT)
    await until(lambda: gate.given_up)
    assert (one.counters.timeouts, gate.came) == (1, 1)


async def test_an_answer_after_the_deadline_is_counted_and_dropped(make: Make, tmp_path: Path) -> None:
    one = await make("n1")
    context = zmq.Context[Any]()
    asked: list[list[bytes]] = []
    router = LoopSocket(context, zmq.ROUTER, asked.append)
    endpoint = router.bind(f"ipc://{tmp_path}/late")
    try:
        early = asyncio.create_task(one.call(endpoint, "", "echo", 1, SHORT))
        kept = asyncio.create_task(one.call(endpoint, "", "echo", 2, LONG))
        await until(lambda: len(asked) == 2)
        with pytest.raises(RpcTimeout):
            await early
        for parts in asked:
            question = msgspec.msgpack.decode(parts[2], type=Question)
            router.send([parts[0], *seal(Reply(question.number, question.payload))])
        assert await kept == 2
        await until(lambda: one.counters.late == 1)
    finally:
        router.close(0)
        context.term()


async def test_garbage_is_counted_and_dropped_on_both_sides(make: Make, tmp_path: Path) -> None:
    one, two = await make("n1"), await make("n2")
    two.handle("echo", echo)
    context = zmq.Context[Any]()
    asked: list[list[bytes]] = []
    dealer = LoopSocket(context, zmq.DEALER)
    router = LoopSocket(context, zmq.ROUTER, asked.append)
    endpoint = router.bind(f"ipc://{tmp_path}/garbage")
    try:
        dealer.connect(two.endpoint)
        for parts in (
            [b"hello"],
            [MARK, b"\xc1"],
            [b"skyhooks-rpc/9", b""],
            [b""],
            [MARK, *[b"x"] * 20],
            seal(Reply(1, pack(None))),
        ):
            assert dealer.send(parts)
        await until(lambda: two.counters.garbage == 6)
        waiting = asyncio.create_task(one.call(endpoint, "", "echo", "x", LONG))
        await until(lambda: asked)
        question = msgspec.msgpack.decode(asked[0][2], type=Question)
        router.send([asked[0][0], b"garbage"])
        router.send([asked[0][0], *seal(question)])
        router.send([asked[0][0], *seal(Reply(question.number, pack("good")))])
        assert await waiting == "good"
        assert one.counters.garbage == 2
        assert await ask(one, two, "echo", 1) == 1
    finally:
        dealer.close(0)
        router.close(0)
        context.term()


async def test_what_speaks_no_zeromq_changes_nothing(make: Make, tmp_path: Path) -> None:
    one, two = await make("n1"), await make("n2")
    two.handle("echo", echo)
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "n2.rpc"))
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
    assert await ask(one, two, "echo", "still here") == "still here"
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    del reader


async def test_all_are_asked_at_once_and_each_answers_for_itself(make: Make, tmp_path: Path) -> None:
    one, two, three = await make("n1"), await make("n2"), await make("n3")
    gate = Gate()

    async def fail(_: object) -> None:
        raise Refused("not_now", "later")

    for rpc, answer in ((one, echo), (two, gate), (three, fail)):
        rpc.handle("q", answer)
    members = [
        Member("n1", "", rpc="ipc:///never/asked"),
        Member("n2", "", rpc=two.endpoint),
        Member("n3", "", rpc=three.endpoint),
        Member("n4", "", rpc=f"ipc://{tmp_path}/nobody"),
        Member("n5", ""),
        Member("n6", "", rpc="carrier-pigeon://x"),
        Member("n7", "", rpc=two.endpoint, key="x" * 40),
    ]
    answers: dict[str, Any] = await one.gather(members, "q", "hello", 0.5)
    assert list(answers) == [member.id for member in members]
    assert answers["n1"] == "hello"
    assert isinstance(answers["n2"], RpcTimeout)
    assert isinstance(answers["n4"], RpcTimeout)
    codes = {name: answer.code for name, answer in answers.items() if isinstance(answer, RpcFailed)}
    assert codes == {"n3": "not_now", "n5": "no_rpc", "n6": "unreachable", "n7": "unreachable"}


async def test_a_question_to_oneself_has_a_deadline_and_errors_too(make: Make) -> None:
    one = await make("n1")
    one.handle("slow", Gate())
    me = Member("n1", "")
    with pytest.raises(RpcTimeout):
        await one.ask(me, "slow", None, SHORT)
    with pytest.raises(RpcFailed):
        await one.ask(me, "dance", None, LONG)


async def test_who_left_the_roster_is_let_go_of(make: Make) -> None:
    one, two, three = await make("n1"), await make("n2"), await make("n3")
    for rpc in (two, three):
        rpc.handle("echo", echo)
    gate = Gate()
    two.handle("slow", gate)
    assert await ask(one, two, "echo", 2) == 2
    assert await ask(one, three, "echo", 3) == 3
    waiting = asyncio.create_task(ask(one, two, "slow"))
    await until(lambda: gate.came)
    one.follow({"n3": Member("n3", "", rpc=three.endpoint)})
    with pytest.raises(RpcFailed) as caught:
        await waiting
    assert caught.value.code == "gone"
    assert [endpoint for endpoint, _ in one._peers] == [three.endpoint]
    assert await ask(one, two, "echo", "again") == "again"


async def test_stopping_fails_what_waits(make: Make) -> None:
    one, two = await make("n1"), await make("n2")
    gate = Gate()
    two.handle("slow", gate)
    waiting = asyncio.create_task(ask(one, two, "slow"))
    await until(lambda: gate.came)
    await two.stop()
    assert gate.given_up == 1
    await one.stop()
    with pytest.raises(RpcError):
        await waiting


async def test_a_paused_node_costs_its_callers_the_deadline_and_others_nothing(
    make: Make, spawn: Spawn, tmp_path: Path
) -> None:
    one, two = await make("n1"), await make("n2")
    two.handle("echo", echo)
    paused = f"ipc://{tmp_path}/paused"
    process = spawn([sys.executable, NODE, paused])
    await asyncio.to_thread(process.wait_for, "ready")
    assert await one.call(paused, "", "echo", 1, LONG) == 1
    process.signal(signal.SIGSTOP)
    late = asyncio.create_task(one.call(paused, "", "echo", 2, 1.0))
    for number in range(50):
        assert await ask(one, two, "echo", number) == number
    assert not late.done()
    with pytest.raises(RpcTimeout):
        await late
    process.signal(signal.SIGCONT)
    assert await one.call(paused, "", "count", None, LONG) >= 1


async def test_a_node_that_was_killed_and_came_back_is_asked_again(make: Make, spawn: Spawn, tmp_path: Path) -> None:
    one = await make("n1")
    endpoint = f"ipc://{tmp_path}/other"
    argv = [sys.executable, NODE, endpoint]
    first = spawn(argv)
    await asyncio.to_thread(first.wait_for, "ready")
    assert await one.call(endpoint, "", "echo", 1, LONG) == 1
    first.close()
    with pytest.raises(RpcTimeout):
        await one.call(endpoint, "", "echo", "must not be answered later", 0.5)
    second = spawn(argv)
    await asyncio.to_thread(second.wait_for, "ready")
    assert await one.call(endpoint, "", "count", None, LONG) == 0


async def test_with_keys_only_the_allowed_are_answered(make: Make, tmp_path: Path) -> None:
    ours, theirs, strangers = make_keys(), make_keys(), make_keys()
    allowed = tmp_path / "allowed"
    allowed.write_text(f"{ours.public}\n{theirs.public}\n")
    everyone = tmp_path / "everyone"
    everyone.write_text(f"{ours.public}\n{theirs.public}\n{strangers.public}\n")
    port = "tcp://127.0.0.1:0"
    one = await make("n1", port, security=Security(ours, allowed))
    two = await make("n2", port, security=Security(theirs, allowed))
    stranger = await make("n3", port, security=Security(strangers, everyone))
    plain = await make("n4")
    two.handle("echo", echo)
    assert await one.call(two.endpoint, theirs.public, "echo", 1, LONG) == 1
    with pytest.raises(RpcTimeout):
        await stranger.call(two.endpoint, theirs.public, "echo", 1, 0.5)
    with pytest.raises(RpcTimeout):
        await plain.call(two.endpoint, "", "echo", 1, 0.5)
    with pytest.raises(RpcFailed):
        await one.call(two.endpoint, strangers.public, "echo", 1, LONG)
    assert two.counters.answered == 1


async def test_an_open_port_needs_keys() -> None:
    rpc = Rpc("n1")
    with pytest.raises(SettingsError):
        await rpc.start("tcp://0.0.0.0:0")
    await rpc.stop()
