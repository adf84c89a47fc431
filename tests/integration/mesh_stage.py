"""Mesh nodes that are processes of their own: started, told what to do over their standard input, and listened to."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.processes import eventually

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("mesh_node.py")


class MeshNode:
    """One node, optionally in a network namespace."""

    def __init__(
        self,
        name: str,
        bind: str,
        forwarder: str = "",
        *,
        keys: Path | None = None,
        inside: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.said: list[dict[str, Any]] = []
        self.output: list[str] = []
        self._process = subprocess.Popen(
            [*inside, sys.executable, "-P", str(PROGRAM), name, bind, *([forwarder] if forwarder else [])],
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **({"MESH_KEYS": str(keys)} if keys else {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.member: dict[str, str] = self.said_of("member")

    def tell(self, verb: str, argument: object = None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([verb, argument]) + "\n")
        self._process.stdin.flush()

    def publish(self, channel: str, epoch: str, first: int, count: int = 1) -> None:
        self.tell("publish", [channel, epoch, first, count])

    def heard(self, by: "MeshNode", epoch: str) -> list[int]:
        """The offsets that arrived, in their order."""
        frames = [one for one in list(self.said) if one.get("by") == by.name and one["epoch"] == epoch]
        return [offset for frame in frames for offset in frame["offsets"]]

    def hears(self, other: "MeshNode", channel: str = "numbers") -> None:
        """Wait until what `other` publishes arrives here."""

        def arrived() -> bool:
            other.publish(channel, "trial", 1)
            return bool(self.heard(other, "trial"))

        eventually(arrived, what=f"{self.name} hears {other.name}: {self.output}")

    def stats(self) -> dict[str, int]:
        count = len([one for one in self.said if "stats" in one])
        self.tell("stats")
        return self.said_of("stats", count)

    def said_of(self, fact: str, skip: int = 0) -> Any:
        def said() -> Any:
            facts = [one[fact] for one in list(self.said) if fact in one][skip:]
            if not facts and self._process.poll() is not None:
                raise AssertionError(f"{self.name} has ended: {self.output}")
            return facts

        return eventually(said, what=f"{self.name} says {fact}")[0]

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(5)

    def close(self) -> int:
        """End it as it should end; kill it when it does not."""
        try:
            if self._process.stdin and not self._process.stdin.closed:
                self._process.stdin.close()
            return self._process.wait(5)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self.kill()
            return -9
        finally:
            self._reader.join(5)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.startswith("{"):
                    self.said.append(json.loads(line))
                else:
                    self.output.append(line.rstrip())


def meet(*nodes: MeshNode) -> None:
    """Everybody follows a roster of all of them."""
    for node in nodes:
        node.tell("follow", {one.name: one.member for one in nodes})
