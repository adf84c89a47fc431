"""``skyhooks cluster`` against nodes that answer each other."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.cluster.roster import Member, Roster
from skyhooks import cli
from skyhooks.cli.cluster import Node, Nodes, Status, duration, problems, table
from tests.unit.gateway.cluster.stations import Station, in_a_thread
from tests.unit.skyhooks.cli.conftest import Run

Cluster = tuple[str, list[Station]]


@pytest.fixture(autouse=True)
def _command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "COMMANDS", tuple(dict.fromkeys((*cli.COMMANDS, "cluster"))))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with in_a_thread(tmp_path, "n1", "n2", leader="n2", seconds=1.0) as running:
        yield running


def test_status_is_a_table_with_a_star_for_the_leader(run: Run, cluster: Cluster) -> None:
    url, (one, _) = cluster
    one.subscribers = {"numbers": 7}
    result = run("cluster", "status", "--url", url)
    assert result.exit_code == 0, result.output
    head, first, second = [line.split() for line in result.stdout.splitlines()]
    assert head == ["NODE", "URL", "TERM", "NODES", "CHANNELS", "SUBSCRIBERS", "UPTIME", "STATE"]
    assert first == ["n1", "http://n1:8080", "3", "2", "1", "7", "1h", "2m", "up"]
    assert second == ["*", "n2", "http://n2:8080", "3", "2", "0", "0", "1h", "2m", "up"]


def test_status_is_json_for_programs(run: Run, cluster: Cluster) -> None:
    url, _ = cluster
    result = run("cluster", "status", "--json", "--url", url)
    found = json.loads(result.stdout)
    assert (result.exit_code, found["leader"], [node["id"] for node in found["nodes"]]) == (0, "n2", ["n1", "n2"])
    assert found["nodes"][0]["status"]["mesh"] == {}


def test_a_silent_node_is_shown_and_the_exit_code_says_so(run: Run, cluster: Cluster) -> None:
    url, (one, _) = cluster
    gone = {"n3": Member("n3", "http://n3:8080", rpc="ipc:///nonexistent/socket")}
    one.roster = Roster({**one.roster.members, **gone}, "n2", 3)
    result = run("cluster", "status", "--url", url)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].split() == ["n3", "http://n3:8080", "no", "answer"]
    assert result.stderr == "n3 does not answer: no answer within 1 s\n"


def test_a_cluster_without_a_leader_is_not_well(run: Run, cluster: Cluster) -> None:
    url, made = cluster
    for one in made:
        one.roster = Roster(one.roster.members)
    result = run("cluster", "status", "--url", url)
    assert (result.exit_code, result.stderr) == (1, "nobody leads\n")
    assert "nobody leads now" in run("cluster", "leader", "--url", url).stderr
    assert run("cluster", "drain", "leader", "--url", url).exit_code == 1


@pytest.mark.parametrize(("name", "drained"), [("n1", [1, 0]), ("n2", [0, 1]), ("leader", [0, 1])])
def test_a_node_is_drained_by_its_name_or_as_the_leader(
    run: Run, cluster: Cluster, name: str, drained: list[int]
) -> None:
    url, made = cluster
    result = run("cluster", "drain", name, "--url", url)
    assert result.exit_code == 0, result.output
    assert [one.drained for one in made] == drained
    assert result.stdout == f"{'n2' if name == 'leader' else name} drains\n"
    assert "Next: skyhooks cluster status" in result.stderr


def test_a_node_that_is_not_there_is_said_in_one_sentence(run: Run, cluster: Cluster) -> None:
    url, _ = cluster
    for name in ("n9", "a b/c?x"):
        result = run("cluster", "drain", name, "--url", url)
        assert result.exit_code == 1
        assert "there are n1, n2" in result.stderr
        assert "Traceback" not in result.output


def test_the_leader_is_printed_for_scripts(run: Run, cluster: Cluster) -> None:
    assert run("cluster", "leader", "--url", cluster[0]).stdout == "n2\n"


def test_nobody_there_is_said_with_what_to_do(run: Run, free_port: Callable[[], int]) -> None:
    for command in (["status"], ["leader"], ["drain", "n1"]):
        result = run("cluster", *command, "--url", f"http://127.0.0.1:{free_port()}")
        assert result.exit_code == 1
        assert "start one with `skyhooks up`" in result.stderr


STATUS = Status(incarnation="1", version="1", uptime=1.0, leader="a", term=1, nodes=2, channels=0, subscribers=0)


def test_nodes_that_disagree_are_named() -> None:
    other = msgspec.structs.replace(STATUS, leader="", term=0, draining=True)
    nodes = [Node("a", "u", True, status=STATUS), Node("b", "u", False, status=other)]
    found = Nodes("a", "a", 1, nodes)
    (fault,) = problems(found)
    assert fault.startswith("the nodes disagree on who leads: nobody (term 0), a (term 1)")
    assert table(found)[2].endswith("draining")
    assert problems(Nodes("a", "a", 1, nodes[:1])) == []


def test_a_while_has_two_units() -> None:
    assert [duration(seconds) for seconds in (0, 4.9, 200, 18_060, 183_600, 86_400)] == [
        "0s",
        "4s",
        "3m 20s",
        "5h 1m",
        "2d 3h",
        "1d 0h",
    ]
