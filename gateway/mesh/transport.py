"""The mesh: what is published on one node reaches every node that serves the channel. It may lose anything.

Theory of operation. A node publishes on one XPUB socket and hears the others on one SUB socket that is connected to
each of theirs. One SUB for all peers, not one each, because ZeroMQ keeps the subscriptions of a socket once however
many peers it has, and a node serves many thousands of channels; letting go of one peer is a disconnect. XPUB tells
which topics somebody wants, each once and again when the last one has gone (it is not verbose), and nothing else is
encoded. A quiet PUB would apply subscriptions only when it next sends; here they are read on the loop as they come.
What is published in one turn of the loop leaves at its end, as one message a channel. With a forwarder (`forwarder`)
both sockets are connected to that instead, and what comes back of one's own is thrown away.
"""

import asyncio
import copy
from collections.abc import Callable, Mapping, Sequence

import msgspec
import structlog
import zmq

from gateway.cluster.roster import Member
from gateway.mesh.address import forwarder_endpoints
from gateway.mesh.batch import HEADROOM, Batch, weight
from gateway.mesh.complaints import Complaints
from gateway.mesh.frames import BadFrame, Frame, channel_of, decode, encode, split, topic_of
from gateway.mesh.security import Security, require_curve, secure_client, secure_server
from gateway.mesh.socket import Context, LoopSocket, SocketOptions
from gateway.mesh.watch import Watch
from skyhooks.errors import SettingsError, shown
from skyhooks.publication import Position, Publication

log = structlog.get_logger()


class MeshOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`bind` is the endpoint of this node's XPUB. `forwarder` is the base address of a forwarder that replaces the
    connections between nodes, `forwarder_key` its CURVE key; then nothing is bound.

    `frame_bytes` of data travel in one frame at most. More of a channel with a log in one turn is only announced, and
    the others read it from the log; without a log it travels in several frames.
    """

    bind: str = ""
    forwarder: str = ""
    forwarder_key: str = ""
    frame_bytes: int = 64 * 1024
    socket: SocketOptions = SocketOptions()


class MeshStats(msgspec.Struct):
    """Counts since the start.

    Frames `sent` (of these, `announced` without any data) and `received`. Messages `refused` because they made no
    sense, and `dropped` by the test hook. `oversized` publications without a log, which no message can carry.
    Connections `denied` to strangers, on any of the node's sockets. Not counts but the state now: channels `wanted` by
    others, and `peers` that this node listens to.
    """

    sent: int = 0
    announced: int = 0
    received: int = 0
    refused: int = 0
    dropped: int = 0
    oversized: int = 0
    denied: int = 0
    wanted: int = 0
    peers: int = 0


class Mesh:
    """One node's end of the mesh. Made, started and used on the event loop.

    `receive` is called for each frame of another node about a channel that is subscribed to, in each sender's order.
    `context` is the node's ZeroMQ context; without one the mesh makes its own. `drop` is a hook for tests: an incoming
    message is lost when it answers true.
    """

    def __init__(
        self,
        settings: MeshOptions,
        receive: Callable[[Frame], None],
        *,
        node: str,
        security: Security | None = None,
        context: Context | None = None,
    ) -> None:
        self.node = node
        self.endpoint = ""
        self.drop: Callable[[], bool] | None = None
        self._settings = settings
        self._receive = receive
        self._security = security
        self._given = context
        self._context: Context | None = None
        self._publisher: LoopSocket | None = None
        self._subscriber: LoopSocket | None = None
        self._watches: list[Watch] = []
        self._served: dict[bytes, str] = {}
        self._wanted: set[str] = set()
        self._pending: dict[str, list[Batch]] = {}
        self._members: Mapping[str, Member] = {}
        self._peers: dict[str, Member] = {}
        self._complaints = Complaints()
        self._counts = MeshStats()

    async def start(self) -> None:
        """Open the sockets; `endpoint` is what others connect to, empty with a forwarder. Raises `SettingsError`."""
        self._loop = asyncio.get_running_loop()
        self._context = self._given or zmq.Context()
        if self._security:
            self._security.open(self._context)
        options = self._settings.socket
        self._publisher = LoopSocket(self._context, zmq.XPUB, self._asked, options)
        self._subscriber = LoopSocket(self._context, zmq.SUB, self._heard, options)
        # Subscriptions count as messages: with a limit, those beyond it would be lost while there are no others.
        self._publisher.raw.setsockopt(zmq.RCVHWM, 0)
        self._subscriber.raw.setsockopt(zmq.SNDHWM, 0)
        self._watches = [
            Watch(self._subscriber, options.retry_most_seconds, self._again),
            Watch(self._publisher, options.retry_most_seconds, self._again),
        ]
        try:
            self._open(self._publisher, self._subscriber)
        except SettingsError:
            await self.stop()
            raise
        for topic in self._served:
            self._subscriber.change(zmq.SUBSCRIBE, topic)
        self.follow(self._members)

    async def stop(self) -> None:
        """Send what was published, let go of everybody and close."""
        self._flush()
        for watch in self._watches:
            watch.close()
        self._watches.clear()
        if self._publisher:
            self._publisher.close()
        if self._subscriber:
            self._subscriber.close(0)
        self._publisher = self._subscriber = None
        self._peers.clear()
        self._wanted.clear()
        context, self._context = self._context, None
        if context and self._security:
            self._security.close()
        if context and context is not self._given:
            # It waits for what still has to leave, up to the linger time.
            await asyncio.to_thread(context.term)

    def subscribe(self, channel: str) -> None:
        """This node serves a channel: hear of it from now on."""
        topic = topic_of(channel)
        if topic not in self._served:
            self._served[topic] = channel
            if self._subscriber:
                self._subscriber.change(zmq.SUBSCRIBE, topic)

    def unsubscribe(self, channel: str) -> None:
        """This node no longer serves a channel."""
        topic = topic_of(channel)
        if self._served.pop(topic, None) is not None and self._subscriber:
            self._subscriber.change(zmq.UNSUBSCRIBE, topic)

    def publish(self, channel: str, epoch: str, publications: Sequence[Publication]) -> None:
        """Tell the others, at the end of this turn, what was published to a channel. `epoch` is empty without a log."""
        if channel in self._wanted:
            for publication in publications:
                self._collect(channel, epoch, publication)

    def announce(self, channel: str, position: Position) -> None:
        """Tell the others, at the end of this turn, only how far a channel's log reaches."""
        if channel in self._wanted:
            batches = self._batches(channel)
            if not batches or batches[-1].epoch != position.epoch:
                batches.append(Batch(position.epoch, self._settings.frame_bytes))
            batches[-1].announce(position.offset)

    def follow(self, members: Mapping[str, Member]) -> None:
        """Connect to the peers that are new in the roster, or run anew, and let go of those that are no longer in it.

        This node is left out, also where it stands under other names. A member that cannot be connected to is logged.
        """
        self._members = members
        if self._subscriber is None or self._settings.forwarder:
            return
        own = {self.endpoint, members[self.node].mesh if self.node in members else ""}
        wanted = {one.mesh: one for id, one in sorted(members.items()) if id != self.node and one.mesh not in own}
        for endpoint, old in list(self._peers.items()):
            new = wanted.get(endpoint)
            if new is None or (new.incarnation, new.key) != (old.incarnation, old.key):
                self._subscriber.disconnect(endpoint)
                del self._peers[endpoint]
        for endpoint, member in wanted.items():
            if endpoint not in self._peers and self._connect(self._subscriber, endpoint, member):
                self._peers[endpoint] = member

    def stats(self) -> MeshStats:
        """A copy of the counters."""
        self._counts.wanted, self._counts.peers = len(self._wanted), len(self._peers)
        self._counts.denied = self._security.denied if self._security else 0
        return copy.copy(self._counts)

    def _open(self, publisher: LoopSocket, subscriber: LoopSocket) -> None:
        if self._settings.forwarder:
            # Without this what is published while the forwarder is away waits for it, and so do its old subscriptions.
            publisher.raw.setsockopt(zmq.IMMEDIATE, 1)
            crossing = forwarder_endpoints(self._settings.forwarder)
            for socket, endpoint in ((publisher, crossing.publish), (subscriber, crossing.subscribe)):
                require_curve(endpoint, self._security)
                secure_client(socket, self._settings.forwarder_key, self._security)
                socket.connect(endpoint)
        else:
            secure_server(publisher, self._settings.bind, self._security)
            self.endpoint = publisher.bind(self._settings.bind)

    def _again(self, endpoint: str) -> None:
        """ZeroMQ has given a connection up: make a new one, if it is still wanted."""
        if self._publisher is None or self._subscriber is None:
            return
        if self._settings.forwarder:
            crossing = forwarder_endpoints(self._settings.forwarder)
            socket = self._publisher if endpoint == crossing.publish else self._subscriber
            socket.disconnect(endpoint)
            socket.connect(endpoint)
        elif self._peers.pop(endpoint, None):
            self._subscriber.disconnect(endpoint)
            self.follow(self._members)

    def _connect(self, subscriber: LoopSocket, endpoint: str, member: Member) -> bool:
        try:
            if not endpoint.startswith(("tcp://", "ipc://")):
                raise SettingsError(f"expected tcp:// or ipc:// as a mesh endpoint; got {shown(endpoint)}")
            require_curve(endpoint, self._security)
            secure_client(subscriber, member.key, self._security)
            subscriber.connect(endpoint)
        except SettingsError as error:
            if self._complaints.due(f"connect {member.id}", self._loop.time()):
                log.warning("mesh_peer_unusable", peer=member.id, problem=str(error))
            return False
        return True

    def _batches(self, channel: str) -> list[Batch]:
        if not self._pending:
            self._loop.call_soon(self._flush)
        return self._pending.setdefault(channel, [])

    def _collect(self, channel: str, epoch: str, publication: Publication) -> None:
        if not epoch and weight(publication) > self._settings.socket.max_part - HEADROOM:
            self._counts.oversized += 1
            return
        batches = self._batches(channel)
        if not batches or batches[-1].epoch != epoch or not batches[-1].take(publication):
            batches.append(Batch(epoch, self._settings.frame_bytes))
            batches[-1].take(publication)

    def _flush(self) -> None:
        pending, self._pending = self._pending, {}
        for channel, batches in pending.items():
            if self._publisher is None or channel not in self._wanted:
                continue
            for batch in batches:
                self._publisher.send((encode(batch.frame(channel, self.node)),))
                self._counts.sent += 1
                self._counts.announced += not batch.publications

    def _asked(self, parts: list[bytes]) -> None:
        """What the XPUB reads: 1 and a topic that is wanted, 0 and one that no peer wants any more."""
        message = parts[0]
        if len(parts) != 1 or message[:1] not in (b"\0", b"\1") or (channel := channel_of(message[1:])) is None:
            self._refuse("", f"expected a subscription to a channel, got {shown(message[:40])}")
        elif message[0]:
            self._wanted.add(channel)
        else:
            self._wanted.discard(channel)

    def _heard(self, parts: list[bytes]) -> None:
        if self.drop and self.drop():
            self._counts.dropped += 1
            return
        topic, body = split(parts[0])
        channel = self._served.get(topic)
        if channel is None:
            # Still on its way when this node let go of the channel.
            return
        try:
            frame = decode(channel, body)
        except BadFrame as error:
            self._refuse(error.node, error.detail)
            return
        if frame.node != self.node:
            self._counts.received += 1
            self._receive(frame)

    def _refuse(self, node: str, problem: str) -> None:
        self._counts.refused += 1
        if self._complaints.due(node, self._loop.time()):
            log.warning("mesh_message_refused", peer=node or "unknown", problem=problem, refused=self._counts.refused)
