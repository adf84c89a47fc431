import asyncio
import json
import time

from gateway.cluster.announcer import Announcer, announcement, turn
from gateway.cluster.roster import Member, Roster

THREE = Roster({name: Member(name, f"http://{name}") for name in ("c", "a", "b")}, leader="b", term=4)


def test_each_node_has_its_turn() -> None:
    assert [turn(THREE, second) for second in range(6)] == ["a", "b", "c"] * 2
    assert turn(Roster(), 0) == ""


def test_the_leader_has_a_star() -> None:
    assert json.loads(announcement(THREE, "b")) == {"node": "b", "leader": True, "term": 4, "text": "★ b"}
    assert json.loads(announcement(THREE, "a")) == {"node": "a", "leader": False, "term": 4, "text": "a"}


async def test_a_node_speaks_only_in_its_turn() -> None:
    said: list[tuple[str, bytes]] = []
    spoken = asyncio.Event()
    alone = Roster({"a": THREE.members["a"]})

    def publish(channel: str, data: bytes) -> None:
        said.append((channel, data))
        spoken.set()

    quiet = asyncio.create_task(Announcer("z", lambda: THREE, publish, time.time).run())
    speaker = asyncio.create_task(Announcer("a", lambda: alone, publish, time.time).run())
    await asyncio.wait_for(spoken.wait(), 10)
    for task in (quiet, speaker):
        task.cancel()
    assert said == [("announce", announcement(alone, "a"))]
