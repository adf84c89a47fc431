"""``/api/nodes`` and ``/api/channels/<name>/presence``: the cluster as this node sees it, and having a node stop."""

from typing import Protocol

from gateway.api.handler import ApiHandler
from gateway.cluster.census import Draining, Nodes, Presence
from skyhooks.channel import channel_name


class Cluster(Protocol):
    """What the handlers need of `gateway.cluster.census.Census`."""

    async def nodes(self) -> Nodes:
        """See `Census.nodes`."""
        ...

    async def presence(self, channel: str) -> Presence:
        """See `Census.presence`."""
        ...

    async def drain(self, node_id: str) -> Draining:
        """See `Census.drain`."""
        ...


class ClusterHandler(ApiHandler):
    """The base of those that ask the cluster."""

    def initialize(self, cluster: Cluster) -> None:  # type: ignore[override]  # what its route carries
        """Called by Tornado with what the route carries."""
        self.cluster = cluster


class NodesHandler(ClusterHandler):
    """``GET /api/nodes``."""

    async def get(self) -> None:
        """Every node with its status; one that does not answer in time is shown as such."""
        self.query(())
        self.answer(await self.cluster.nodes())

    head = get


class DrainHandler(ClusterHandler):
    """``POST /api/nodes/<id>/drain``."""

    async def post(self, node_id: str) -> None:
        """Have a node stop: 202 as soon as it has begun."""
        self.query(())
        self.answer(await self.cluster.drain(node_id), 202)


class PresenceHandler(ClusterHandler):
    """``GET /api/channels/<name>/presence``."""

    async def get(self, channel: str) -> None:
        """How many subscribers a channel has, in all and by node."""
        self.query(())
        self.answer(await self.cluster.presence(channel_name(channel)))

    head = get
