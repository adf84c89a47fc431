from gateway.fanout import Fanout
from gateway.mesh.frames import Frame
from skyhooks.publication import Draft, Outcome, Position, Publication
from tests.unit.gateway.hub.sinks import World

STORED = Publication("p", 4, b"1")


class Voice:
    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []

    def publish(self, channel: str, epoch: str, publications: object) -> None:
        self.said.append((channel, epoch, publications))

    def announce(self, channel: str, head: Position) -> None:
        self.said.append((channel, head))


class Bench:
    def __init__(self, *durable: str) -> None:
        self.voice = Voice()
        self.hub = World().hub
        self.fanout = Fanout(self.hub, self.voice, frozenset(durable))
        self.log = self.hub.channel("accounts/a", durable="accounts" in durable)
        if self.log.durable:
            self.log.open("e", 3)
        self.chat = self.hub.channel("chat", durable=False)


def stored(status: str = "stored") -> tuple[list[Draft], list[Outcome]]:
    draft = Draft(id="p", channels=("accounts/a",), data=b"1")
    return [draft], [Outcome(status, {"accounts/a": Position("e", 4)})]  # type: ignore[arg-type]


def test_what_was_appended_is_shown_here_and_said_to_the_others() -> None:
    bench = Bench("accounts")
    bench.fanout.committed(*stored())
    assert bench.log.ring.head == 4
    assert bench.voice.said == [("accounts/a", "e", (STORED,))]


def test_of_a_duplicate_only_the_position_is_told() -> None:
    bench = Bench("accounts")
    bench.fanout.committed(*stored("duplicate"))
    assert bench.log.ring.head == 3
    assert bench.voice.said == [("accounts/a", Position("e", 4))]


def test_what_was_refused_is_not_told() -> None:
    bench = Bench("accounts")
    bench.fanout.committed(stored()[0], [Outcome("superseded")])
    assert bench.voice.said == []


def test_where_no_other_node_reads_the_log_what_was_appended_is_published_once() -> None:
    bench = Bench()
    bench.fanout.committed(*stored())
    bench.fanout.committed(*stored("duplicate"))
    assert bench.log.ring.head == 1
    assert bench.voice.said == [("accounts/a", "", (Publication("p", 1, b"1"),))]


def test_a_publication_without_a_log_takes_an_offset_of_each_node() -> None:
    bench = Bench("accounts")
    assert bench.fanout.publish("chat", "x", b"1") == Position(bench.chat.epoch, 1)
    bench.fanout.receive(Frame(node="n2", channel="chat", epoch="", publications=(Publication("y", 9, b"2"),), head=0))
    assert bench.chat.ring.head == 2


def test_hints_of_other_nodes_reach_the_channel() -> None:
    bench = Bench("accounts")
    bench.fanout.receive(Frame(node="n2", channel="accounts/a", epoch="e", publications=(STORED,), head=0))
    assert bench.log.ring.head == 4


def test_alone_a_node_publishes_to_its_own_subscribers() -> None:
    bench = Bench("accounts")
    alone = Fanout(bench.hub, None, frozenset({"accounts"}))
    alone.committed(*stored())
    alone.committed(*stored("duplicate"))
    alone.publish("chat", "x", b"1")
    assert (bench.log.ring.head, bench.chat.ring.head) == (4, 1)
