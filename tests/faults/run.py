"""One run: a cluster under load and under a nemesis, its history, and the checker's verdict.

``python -m tests.faults --seconds 600 --store mongodb`` (``make faults``).
"""

import asyncio
import json
import random
import re
import shutil
import signal
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.checker import Verdict, check
from tests.faults.cluster import SECRET, SILENCE, Cluster, until
from tests.faults.history import History, read
from tests.faults.load import Senders, Tasks, identify
from tests.faults.nemesis import DEFAULT_MIX, Nemesis
from tests.faults.subscribers import TRANSPORTS, Subscriber

ACCOUNTS = tuple(f"f{number}" for number in range(6))
PYTHON = ".venv/bin/python"


@dataclass
class Plan:
    """What a run consists of. `rate` and `tasks` are webhooks and tasks a second, `pause` seconds between faults."""

    seconds: float = 600.0
    store: str = "mongodb"
    nodes: int = 5
    rate: float = 200.0
    tasks: float = 15.0
    seed: int = 0
    pause: float = 2.0
    most: int = 3
    bug: str = ""
    pad: int = 200
    quiet: float = 90.0
    """For how many seconds the cluster may catch up once nothing troubles it any more."""
    mix: Mapping[str, float] = field(default_factory=lambda: DEFAULT_MIX)
    settings: dict[str, str] = field(default_factory=dict)

    def command(self, folder: Path) -> str:
        """What runs the same again."""
        numbers = {name: getattr(self, name) for name in ("seconds", "nodes", "rate", "tasks", "seed", "pause", "most")}
        options = " ".join(f"--{name} {value:g}" for name, value in numbers.items())
        mix = "" if self.mix is DEFAULT_MIX else f" --mix '{json.dumps(dict(self.mix))}'"
        return f"{PYTHON} -m tests.faults --store {self.store} {options}{mix} --folder {folder}"


@dataclass
class Outcome:
    """What came of a run."""

    verdict: Verdict
    kills: int
    hits: dict[str, int]
    refused: int
    """How often the store has refused what a leader wrote that had been replaced."""
    connections: int
    broken: list[str]
    """Logs of gateways with a traceback in them."""

    @property
    def clean(self) -> bool:
        """Whether nothing is held against the system."""
        return self.verdict.clean and not self.broken

    def __str__(self) -> str:
        points = ", ".join(f"{name} {count}" for name, count in sorted(self.hits.items())) or "none"
        return (
            f"{self.verdict}\n{self.kills} killed by SIGKILL; crash points hit: {points}; "
            f"stale writes refused: {self.refused}; connections of subscribers: {self.connections}"
            + "".join(f"\ntraceback in {log}" for log in self.broken)
        )


def carry_out(plan: Plan, folder: Path, say: Callable[[str], None] = print) -> Outcome:
    """Carry a plan out, in a loop of its own. SIGTERM and Ctrl-C end it, and leave no process behind."""

    async def main() -> Outcome:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await Run(plan, folder, say).carry_out()

    return asyncio.run(main())


class Run:
    """Carries a plan out, with everything that it leaves behind in `folder`; `say` is told how far it is."""

    def __init__(self, plan: Plan, folder: Path, say: Callable[[str], None] = print) -> None:
        self._plan = plan
        self._folder = folder
        self._say = say
        self._chance = random.Random(plan.seed)

    async def carry_out(self) -> Outcome:
        """Do it. Raises `AssertionError` for a cluster that does not come up."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        plan, path = self._plan, self._folder / "history.jsonl"
        self._cluster = Cluster(self._folder, plan.store, plan.nodes, plan.bug, plan.settings)
        try:
            await self._cluster.start()
            self._say(f"{plan.nodes} gateways on {plan.store} are up; {plan.seconds:g} s of faults, seed {plan.seed}")
            self._history = History(path)
            try:
                nemesis, subscribers = await self._trouble()
            finally:
                self._history.close()
        finally:
            await self._cluster.close()
        hits: dict[str, int] = {}
        for line in (self._folder / "hits").read_text().split():
            hits[line] = hits.get(line, 0) + 1
        logs = {str(log): log.read_text() for log in sorted(self._folder.glob("gateway-*.log"))}
        broken = [name for name, text in logs.items() if "Traceback" in text]
        refused = sum(
            int(count) for text in logs.values() for count in re.findall(r"stale_writes_refused .*count=(\d+)", text)
        )
        connections = sum(one.connections for one in subscribers)
        return Outcome(check(read(path)), nemesis.kills, hits, refused, connections, broken)

    async def _trouble(self) -> tuple[Nemesis, list[Subscriber]]:
        plan, cluster, urls = self._plan, self._cluster, list(self._cluster.urls.values())
        subscribers = self._make_subscribers(urls)
        senders = Senders(urls, ACCOUNTS, SECRET, self._history, self._fork(), plan.rate, pad=plan.pad)
        tasks = Tasks(cluster.app, ACCOUNTS, self._history, self._fork(), plan.tasks)
        nemesis = Nemesis(cluster, self._history, self._fork(), self._leader, plan.mix, plan.pause, plan.most)
        following = [asyncio.create_task(one.run()) for one in subscribers]
        sending = asyncio.create_task(senders.run())
        tasks.start()
        beside = [asyncio.create_task(nemesis.run()), asyncio.create_task(self._restless(subscribers))]
        try:
            await self._watch(senders, tasks, nemesis, [sending, *beside, *following])
            for one in beside:
                one.cancel()
            await nemesis.end()
            senders.stop()
            tasks.stop()
            for one in subscribers:
                one.wake()
            await asyncio.wait_for(sending, self._plan.quiet)
            await tasks.ended()
            await self._catch_up(subscribers)
            self._history.note("end")
        finally:
            everything = [*following, sending, *beside]
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)
        return nemesis, subscribers

    def _make_subscribers(self, urls: list[str]) -> list[Subscriber]:
        channels = [*(f"accounts/{name}" for name in ACCOUNTS), "numbers"]
        return [
            Subscriber(
                f"{channel.rpartition('/')[2]}-{transport}",
                channel,
                transport,
                urls,
                self._history,
                identify,
                self._fork(),
                SILENCE,
            )
            for channel in channels
            for transport in TRANSPORTS
        ]

    def _fork(self) -> random.Random:
        return random.Random(self._chance.random())

    async def _watch(self, senders: Senders, tasks: Tasks, nemesis: Nemesis, running: list[asyncio.Task[Any]]) -> None:
        """Wait for the end of the troubled time; fails as soon as something of the harness itself does."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (passed := loop.time() - began) < self._plan.seconds:
            await asyncio.wait(running, timeout=min(10.0, self._plan.seconds - passed), return_when="FIRST_EXCEPTION")
            for task in running:
                if task.done():
                    task.result()
            self._say(
                f"{loop.time() - began:5.0f} s: {senders.sent} webhooks, {tasks.sent} tasks, {nemesis.kills} killed"
            )

    async def _restless(self, subscribers: list[Subscriber]) -> None:
        """Subscribers that reload their page, and some that stay away for a while."""
        chance = self._fork()
        while True:
            await asyncio.sleep(chance.expovariate(1.0))
            one = chance.choice(subscribers)
            if chance.random() < 0.8:
                one.hang_up()
            else:
                one.sleep()
                asyncio.get_running_loop().call_later(chance.uniform(5, 20), one.wake)

    async def _catch_up(self, subscribers: list[Subscriber]) -> None:
        """Wait until everyone has seen everything that was acknowledged, for as long as that may take."""
        self._history.close()
        wanted: dict[str, set[str]] = {}
        where: dict[str, str] = {}
        for fact in read(self._history.path):
            if fact["fact"] == "sent":
                where[fact["id"]] = fact["channel"]
            elif fact["fact"] == "acked":
                wanted.setdefault(where[fact["id"]], set()).add(fact["id"])
        self._history.reopen()
        with suppress(AssertionError):  # what is missing then is the checker's to say
            await until(
                lambda: all(wanted.get(one.channel, set()) <= one.seen for one in subscribers),
                self._plan.quiet,
                "everyone has seen everything",
            )

    async def _leader(self) -> str:
        return str((await self._nodes()).get("leader", ""))

    async def _nodes(self) -> dict[str, Any]:
        """What some gateway says of all."""

        def ask(port: int) -> dict[str, Any]:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/nodes", timeout=3) as answer:
                found: dict[str, Any] = json.load(answer)
                return found

        for part in self._chance.sample(self._cluster.group("gateway"), len(self._cluster.group("gateway"))):
            if part.alive and not part.paused:
                with suppress(OSError, ValueError):
                    return await asyncio.to_thread(ask, part.port)
        return {}
