"""What goes wrong in a run: faults by chance, from a seed, each of which ends again.

At most so many parts are down at a time that the cluster can work at all: most members of the replica set, and two
gateways.
"""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tests.faults.build import GATEWAY_POINTS, LEADER_POINTS, WORKER_POINTS
from tests.faults.cluster import CLIENTS, Cluster
from tests.faults.history import History
from tests.faults.network import ANY, Way
from tests.faults.parts import Part

Fault = Callable[[], Awaitable[None]]
STOP_SECONDS: Final = 20.0
"""Time that a gateway has to stop: its subscribers have five seconds to go, its connections five more, and a slow store
five for each of its answers."""
ARMED_SECONDS: Final = 6.0
"""For how long a crash point stays armed that nobody comes to."""
POINTS: Final = {"gateway": GATEWAY_POINTS, "leader": LEADER_POINTS, "worker": WORKER_POINTS}
LEADER_LEASE: Final = 3.0

DEFAULT_MIX: Final = {
    "kill-gateway": 6,
    "kill-leader": 2,
    "kill-worker": 2,
    "kill-mongod": 2,
    "kill-primary": 2,
    "kill-rabbitmq": 0.4,
    "kill-numbers": 0.3,
    "pause-gateway": 2,
    "pause-leader": 2,
    "pause-worker": 1,
    "pause-mongod": 1,
    "cut": 3,
    "cut-one-way": 3,
    "slow": 2,
    "stall": 2,
    "lose-frames": 1,
    "stop-gateway": 1,
    "reload-gateway": 1,
    "crash-gateway": 5,
    "crash-leader": 1,
    "crash-worker": 2,
}
"""How often each comes, in relation to the others."""


class Nemesis:
    """Troubles `cluster`: on average a fault each `pause` seconds, with up to `most` at a time."""

    def __init__(
        self,
        cluster: Cluster,
        history: History,
        chance: random.Random,
        leader: Callable[[], Awaitable[str]],
        mix: Mapping[str, float] = DEFAULT_MIX,
        pause: float = 2.0,
        most: int = 3,
    ) -> None:
        self._cluster = cluster
        self._history = history
        self._chance = chance
        self._leader = leader
        self._pause = pause
        self._most = most
        self._busy: set[str] = set()
        self._running: set[asyncio.Task[None]] = set()
        self.kills = 0
        self._wires: dict[str, Fault] = {"cut": self._cut, "cut-one-way": self._cut_one_way, "slow": self._slow}
        self._wires["stall"] = self._stall
        self._actions: dict[str, Callable[[Part], Awaitable[None]]] = {
            "kill": self._kill,
            "pause": self._doze,
            "stop": self._stop,
            "reload": self._reload,
            "lose": self._lose,
        }
        self._mix = {name: weight for name, weight in mix.items() if self._has_target(name)}

    async def run(self) -> None:
        """Do harm until cancelled. Raises what a fault that could not be done has raised."""
        names, weights = list(self._mix), list(self._mix.values())
        while True:
            for done in [task for task in self._running if task.done()]:
                self._running.discard(done)
                done.result()
            await asyncio.sleep(self._chance.expovariate(1 / self._pause))
            name = self._chance.choices(names, weights)[0]
            if len(self._running) < self._most:
                self._running.add(asyncio.create_task(self._do(name), name=name))

    async def end(self) -> None:
        """Let every fault come to its end, and see that all parts run."""
        if self._running:
            for done in (await asyncio.wait(self._running))[0]:
                done.result()
        for part in self._cluster.parts.values():
            part.armed.unlink(missing_ok=True)
            part.start()
            await self._cluster.ready(part)

    def _has_target(self, name: str) -> bool:
        kind = name.partition("-")[2].replace("primary", "mongod")
        return kind not in ("mongod", "rabbitmq") or bool(self._cluster.group(kind))

    async def _do(self, name: str) -> None:
        action, _, target = name.partition("-")
        if name in self._wires:
            await self._wires[name]()
            return
        part = await self._pick(target)
        if part is None:
            return
        self._busy.add(part.name)
        try:
            if action == "crash":
                await self._crash(part, target)
            else:
                await self._actions[action](part)
        finally:
            self._busy.discard(part.name)

    async def _pick(self, target: str) -> Part | None:
        """A part of this kind that nothing happens to, unless too many of its kind are troubled."""
        if target == "leader":
            found = self._cluster.parts.get(await self._leader())
        elif target == "primary":
            found = await asyncio.to_thread(self._cluster.primary)
        elif target == "frames":
            found = self._chance.choice(self._cluster.group("gateway"))
        else:
            found = self._chance.choice(self._cluster.group(target))
        if found is None or found.name in self._busy:
            return None
        kind = found.name.partition("-")[0]
        troubled = sum(name.startswith(kind) for name in self._busy)
        room = {"mongod": 1, "gateway": max(1, len(self._cluster.group("gateway")) - 2)}.get(kind, 1)
        return found if troubled < room else None

    def _note(self, kind: str, **fields: object) -> None:
        self._history.note("fault", kind=kind, **fields)

    async def _kill(self, part: Part) -> None:
        self._note(f"kill {part.name.partition('-')[0]}", part=part.name)
        self.kills += 1
        await asyncio.to_thread(part.kill)
        await asyncio.sleep(self._chance.choice((0.0, 0.5, 2.0)))
        await self._again(part)

    async def _again(self, part: Part) -> None:
        if part.name == "numbers":
            self._history.note("restarted", channel="numbers")
        part.start()
        await self._cluster.ready(part, 120.0)
        self._history.note("healed", part=part.name)

    async def _doze(self, part: Part) -> None:
        seconds = LEADER_LEASE * self._chance.choice((0.3, 0.8, 1.5, 2.5))
        self._note(f"pause {part.name.partition('-')[0]}", part=part.name, seconds=seconds)
        part.pause()
        try:
            await asyncio.sleep(seconds)
        finally:
            part.resume()
        self._history.note("healed", part=part.name)

    async def _stop(self, part: Part) -> None:
        self._note("stop gateway", part=part.name)
        part.send(signal.SIGTERM)
        for _ in range(int(STOP_SECONDS / 0.05)):
            if not part.alive:
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError(f"{part.name} does not stop within {STOP_SECONDS:g} s of SIGTERM; see {part.log}")
        await self._again(part)

    async def _reload(self, part: Part) -> None:
        self._note("reload gateway", part=part.name)
        part.send(signal.SIGHUP)

    async def _lose(self, part: Part) -> None:
        self._note("lose frames", part=part.name)
        part.loss.write_text("0.3")
        await asyncio.sleep(self._chance.uniform(2, 6))
        part.loss.unlink()

    async def _crash(self, part: Part, target: str) -> None:
        point, starts = self._chance.choice(POINTS[target]), part.starts
        part.armed.write_text(point)
        for _ in range(int(ARMED_SECONDS / 0.1)):
            await asyncio.sleep(0.1)
            if not part.armed.exists():
                self._note(f"crash {point}", part=part.name)
                break
        part.armed.unlink(missing_ok=True)
        await asyncio.sleep(0.2)
        if not part.alive:
            self.kills += 1
            assert part.starts == starts
            await self._again(part)

    def _wire(self) -> Way:
        """Two parts that talk to each other."""
        cluster = self._cluster
        gateway = self._chance.choice(cluster.group("gateway")).name
        broker = [part.name for part in cluster.group("rabbitmq")]
        targets = {
            CLIENTS: [gateway],
            self._chance.choice(cluster.group("worker")).name: [gateway, *broker],
            gateway: [
                self._chance.choice(cluster.group("gateway")).name,
                "numbers",
                *[part.name for part in cluster.group("mongod")],
            ],
            ANY: [part.name for part in cluster.group("mongod")] or [gateway],
        }  # fmt: skip
        source = self._chance.choice(list(targets))
        return source, self._chance.choice(targets[source])

    async def _cut(self) -> None:
        way = self._wire()
        await self._hold("cut", way, (way[1], way[0]))

    async def _cut_one_way(self) -> None:
        way = self._wire()
        await self._hold("cut one way", self._chance.choice((way, (way[1], way[0]))))

    async def _hold(self, kind: str, *ways: Way) -> None:
        seconds = self._chance.choice((0.5, 2.0, 5.0, 9.0))
        self._note(kind, ways=ways, seconds=seconds)
        self._cluster.network.cut(*ways)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._cluster.network.heal(*ways)
        self._history.note("healed", ways=ways)

    async def _stall(self) -> None:
        """Subscribers of one gateway that read nothing for a while."""
        await self._hold("stall", (self._chance.choice(self._cluster.group("gateway")).name, CLIENTS))

    async def _slow(self) -> None:
        way = self._wire()
        self._note("slow", ways=[way])
        self._cluster.network.slow(way, self._chance.choice((0.02, 0.1)))
        await asyncio.sleep(self._chance.uniform(2, 6))
        self._cluster.network.slow(way, 0)
        self._history.note("healed", ways=[way])
