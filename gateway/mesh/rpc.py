"""Questions from node to node, each answered or given up by its deadline.

Theory of operation. A node binds one ROUTER, on which it is asked, and has one DEALER for each node that it asks,
made when it is first needed and dropped when the node leaves the roster. Every question becomes a task, so a slow one
holds up no other; beyond `most` at a time it is answered `busy` at once. A question carries the seconds that are left:
whoever asked has given up by then, so whoever answers gives up too. Errors travel: what a handler raises as
`SkyhooksError` arrives as `RpcFailed` with its code, and anything else is a fault, logged here and answered
`internal`. A node that says nothing costs its caller the deadline and nobody else anything; its DEALER is then made
anew, so that what was not sent yet does not reach it when it comes back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import count
from typing import Any, Final, TypeVar

import msgspec
import structlog
import zmq

from gateway.cluster.roster import Member
from gateway.mesh.envelope import Garbage, Question, Reply, failure, pack, read_envelope, seal, unpack
from gateway.mesh.security import Security, secure_client, secure_server
from gateway.mesh.socket import Context, LoopSocket, SocketOptions
from skyhooks.errors import Refused, SettingsError, SkyhooksError, StoreError

log = structlog.get_logger()

T = TypeVar("T")

MOST: Final = 256
"""Questions that are worked on at a time."""
DEADLINE: Final = "deadline"
"""The code of an answer that took too long."""


class RpcError(SkyhooksError):
    """A node did not do what it was asked."""


class RpcTimeout(RpcError):
    """It did not answer in time; it may still do what it was asked."""


class RpcFailed(RpcError):
    """It answered with an error: `code` is for programs, `detail` for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class RpcCounters(msgspec.Struct):
    """What has happened since the start. `garbage` are messages in no known form, `late` answers after the deadline."""

    asked: int = 0
    answered: int = 0
    failed: int = 0
    timeouts: int = 0
    busy: int = 0
    garbage: int = 0
    late: int = 0


Answer = Callable[[Any], Awaitable[object]]


class _Handler(msgspec.Struct, frozen=True):
    answer: Answer
    takes: Any


class _Peer:
    """The DEALER for one node, and who waits for its answers."""

    __slots__ = ("socket", "waiting")

    def __init__(self, socket: LoopSocket) -> None:
        self.socket = socket
        self.waiting: dict[int, asyncio.Future[Reply]] = {}


class Rpc:
    """Asks other nodes, and answers them. Made on the loop; `start` before anything is asked.

    `security` is needed off loopback. `context` is the node's ZeroMQ context; without one it has its own. `most`
    questions are worked on at a time.
    """

    def __init__(
        self,
        node: str,
        security: Security | None = None,
        *,
        context: Context | None = None,
        options: SocketOptions | None = None,
        most: int = MOST,
    ) -> None:
        self.endpoint = ""
        self.counters = RpcCounters()
        self._node = node
        self._security = security
        self._own_context = context is None
        self._context = context or zmq.Context()
        self._options = options or SocketOptions()
        self._most = most
        self._handlers: dict[str, _Handler] = {}
        self._router: LoopSocket | None = None
        self._peers: dict[tuple[str, str], _Peer] = {}
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._faults: set[str] = set()

    def handle(self, name: str, answer: Answer, takes: Any = Any) -> None:
        """Have `answer` called with the payload, decoded as a `takes`, of every question of this name."""
        self._handlers[name] = _Handler(answer, takes)

    async def start(self, bind: str) -> None:
        """Listen at `bind`; `endpoint` is then the real address.

        Raises `SettingsError` when that cannot be, or when others could reach it without a key.
        """
        if self._security is not None:
            self._security.open(self._context)
        self._router = LoopSocket(self._context, zmq.ROUTER, self._asked, self._options)
        # Without this an answer that does not fit is lost without a word.
        self._router.raw.setsockopt(zmq.ROUTER_MANDATORY, 1)
        secure_server(self._router, bind, self._security)
        self.endpoint = self._router.bind(bind)

    async def stop(self) -> None:
        """Answer nothing more, fail what waits, and give up the sockets."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for key in list(self._peers):
            self._drop(key, RpcFailed("stopping", "this node is stopping"))
        if self._router is not None:
            self._router.close()
            self._router = None
            if self._security is not None:
                self._security.close()
        if self._own_context:
            await asyncio.to_thread(self._context.term)

    def follow(self, members: Mapping[str, Member]) -> None:
        """Let go of the nodes that are no longer there."""
        there = {(member.rpc, member.key) for member in members.values()}
        for key in [key for key in self._peers if key not in there]:
            self._drop(key, RpcFailed("gone", "the node has left"))

    async def call(
        self, endpoint: str, key: str, name: str, payload: object, seconds: float, gives: "type[T] | Any" = Any
    ) -> T:
        """Ask the node at `endpoint`, which owns the public key `key`, and return its answer, decoded as a `gives`.

        Raises `RpcTimeout` after `seconds`, `RpcFailed` when the node answers with an error, or with something
        else than a `gives`, and when it cannot be asked at all.
        """
        self.counters.asked += 1
        number = next(self._numbers)
        peer = self._peer(endpoint, key)
        future = peer.waiting[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                question = Question(number, name, seconds, pack(payload))
                if not peer.socket.send(seal(question)):
                    raise RpcFailed("busy", "more waits to be sent to this node than it may")
                reply = await future
        except TimeoutError:
            self.counters.timeouts += 1
            if len(peer.waiting) == 1 and self._peers.get((endpoint, key)) is peer:
                self._drop((endpoint, key))
            raise RpcTimeout(f"no answer within {seconds:g} s") from None
        finally:
            peer.waiting.pop(number, None)
        opened: T = _opened(reply, gives)
        return opened

    async def gather(
        self, members: Iterable[Member], name: str, payload: object, seconds: float, gives: "type[T] | Any" = Any
    ) -> "dict[str, T | RpcError]":
        """Ask every one of `members` at the same time; by node id, its answer or why there is none."""

        async def one(member: Member) -> T | RpcError:
            try:
                return await self.ask(member, name, payload, seconds, gives)
            except RpcError as error:
                return error

        asked = list(members)
        answers = await asyncio.gather(*(one(member) for member in asked))
        return {member.id: answer for member, answer in zip(asked, answers, strict=True)}

    async def ask(self, member: Member, name: str, payload: object, seconds: float, gives: "type[T] | Any" = Any) -> T:
        """Ask one node, this one included; see `call`. Raises `RpcFailed` (``no_rpc``) when it has no such address."""
        if member.id == self._node:
            question = Question(0, name, seconds, pack(payload))
            opened: T = _opened(await self._answer(question), gives)
            return opened
        if not member.rpc:
            raise RpcFailed("no_rpc", "it cannot be asked: it takes no part in the mesh")
        return await self.call(member.rpc, member.key, name, payload, seconds, gives)

    # Asking

    def _peer(self, endpoint: str, key: str) -> _Peer:
        found = self._peers.get((endpoint, key))
        if found is not None:
            return found
        socket = LoopSocket(self._context, zmq.DEALER, lambda parts: self._replied(peer, parts), self._options)
        peer = _Peer(socket)
        try:
            secure_client(socket, key, self._security)
            socket.connect(endpoint)
        except (SettingsError, zmq.ZMQError) as error:
            socket.close(0)
            raise RpcFailed("unreachable", f"it cannot be asked at {endpoint}: {error}") from error
        self._peers[endpoint, key] = peer
        return peer

    def _drop(self, key: tuple[str, str], error: RpcFailed | None = None) -> None:
        peer = self._peers.pop(key)
        peer.socket.close(0)
        for future in peer.waiting.values():
            if error is not None and not future.done():
                future.set_exception(error)

    def _replied(self, peer: _Peer, parts: list[bytes]) -> None:
        try:
            reply = read_envelope(parts)
        except Garbage:
            self.counters.garbage += 1
            return
        if not isinstance(reply, Reply):
            self.counters.garbage += 1
            return
        future = peer.waiting.get(reply.number)
        if future is None or future.done():
            self.counters.late += 1
        else:
            future.set_result(reply)

    # Answering

    def _asked(self, parts: list[bytes]) -> None:
        try:
            question = read_envelope(parts[1:])
        except Garbage:
            self.counters.garbage += 1
            return
        if not isinstance(question, Question):
            self.counters.garbage += 1
        elif len(self._tasks) >= self._most:
            self.counters.busy += 1
            busy = failure(question.number, "busy", f"this node answers {self._most} questions at a time, and no more")
            self._reply(parts[0], busy)
        else:
            task = asyncio.create_task(self._serve(parts[0], question), name=f"rpc-{question.name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, asker: bytes, question: Question) -> None:
        self._reply(asker, await self._answer(question))

    async def _answer(self, question: Question) -> Reply:
        """What this node says to a question, faults included."""
        handler = self._handlers.get(question.name)
        try:
            if handler is None:
                raise RpcFailed("unknown_question", f"this node does not know the question {question.name!r}")
            asked: object = unpack(question.payload, handler.takes)
            async with asyncio.timeout(question.seconds):
                answer = await handler.answer(asked)
            reply = Reply(question.number, pack(answer))
        except Exception as error:
            self.counters.failed += 1
            code, detail = self._described(error, question)
            return failure(question.number, code, detail)
        self.counters.answered += 1
        return reply

    def _described(self, error: Exception, question: Question) -> tuple[str, str]:
        """The code and the sentence with which an error travels."""
        match error:
            case Refused():
                return error.code, error.detail
            case RpcFailed():
                return error.code, error.detail
            case Garbage():
                return "bad_payload", f"{question.name} does not take this: {error}"
            case TimeoutError() | RpcTimeout():
                return DEADLINE, f"{question.name} took longer than the {question.seconds:g} s that were given"
            case StoreError():
                return "store_unavailable", "the store cannot do this now"
            case SkyhooksError():
                return "failed", str(error)
        # Once: what fails once a second must not fill the log.
        if question.name not in self._faults:
            self._faults.add(question.name)
            log.error("rpc_failed", question=question.name, exc_info=error)
        return "internal", "the node failed; its log says why"

    def _reply(self, asker: bytes, reply: Reply) -> None:
        if self._router is not None:
            self._router.send([asker, *seal(reply)])


def _opened(reply: Reply, gives: "type[T] | Any") -> T:
    if reply.code == DEADLINE:
        raise RpcTimeout(reply.detail)
    if reply.code:
        raise RpcFailed(reply.code, reply.detail)
    try:
        answer: T = unpack(reply.payload, gives)
    except Garbage as error:
        raise RpcFailed("bad_answer", f"it answered something else than was expected: {error}") from error
    return answer
