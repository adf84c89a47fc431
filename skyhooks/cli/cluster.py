"""``skyhooks cluster``: the nodes, who leads them, and taking one out."""

from typing import Final
from urllib.parse import quote

import click
import msgspec

from skyhooks.cli import options

LEADER: Final = "leader"


class Status(msgspec.Struct, frozen=True):
    """What is shown of a node's own words; see `gateway.cluster.census.NodeStatus`."""

    incarnation: str
    version: str
    uptime: float
    leader: str
    term: int
    nodes: int
    channels: int
    subscribers: int
    draining: bool = False
    refused: int = 0


class Node(msgspec.Struct, frozen=True):
    """A node as the one that was asked sees it."""

    id: str
    url: str
    leads: bool
    error: str = ""
    status: Status | None = None


class Nodes(msgspec.Struct, frozen=True):
    """The cluster as the node `asked` sees it."""

    asked: str
    leader: str
    term: int
    nodes: list[Node]


class Drained(msgspec.Struct, frozen=True):
    """The node that drains."""

    id: str


@click.group()
def cluster() -> None:
    """Look at the nodes that work together, and take one out: status, drain, leader.

    Example: skyhooks cluster status
    """


@cluster.command(epilog="Exit code 1 when a node does not answer, when nobody leads, or when two nodes disagree on it.")
@click.option("--json", "as_json", is_flag=True, help="What the gateway answered, for programs.")
@options.urls
def status(as_json: bool, urls: tuple[str, ...]) -> None:
    """Show every node as it sees itself; the one that leads has a star.

    Example: skyhooks cluster status
    """
    text = bytes(options.connect(urls).get("/api/nodes", msgspec.Raw))
    found = msgspec.json.decode(text, type=Nodes)
    if as_json:
        click.echo(text)
    else:
        for line in table(found):
            click.echo(line)
    if faults := list(problems(found)):
        for fault in faults:
            click.echo(fault, err=True)
        raise SystemExit(1)


@cluster.command()
@click.argument("node", metavar="NODE|leader")
@options.urls
def drain(node: str, urls: tuple[str, ...]) -> None:
    """Have NODE, or the one that leads, send its subscribers to the others and stop.

    Example: skyhooks cluster drain node-2
    """
    done = options.connect(urls).post(f"/api/nodes/{quote(node, safe='')}/drain", Drained)
    click.echo(f"{done.id} drains")
    click.echo("Next: skyhooks cluster status shows when it is gone", err=True)


@cluster.command(epilog="Exit code 1 when nobody leads.")
@options.urls
def leader(urls: tuple[str, ...]) -> None:
    """Print the id of the node that leads.

    Example: skyhooks cluster leader
    """
    found = options.connect(urls).get("/api/nodes", Nodes)
    if not found.leader:
        raise click.ClickException(f"nobody leads now, as {found.asked} sees it; ask again in a few seconds")
    click.echo(found.leader)


def table(found: Nodes) -> list[str]:
    """The nodes, one a line, under a headline."""
    head = ("", "NODE", "URL", "TERM", "NODES", "CHANNELS", "SUBSCRIBERS", "UPTIME", "STATE")
    rows = [head, *(_row(node) for node in found.nodes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def problems(found: Nodes) -> list[str]:
    """What is wrong with the cluster, in sentences."""
    said = [f"{node.id} does not answer: {node.error}" for node in found.nodes if node.status is None]
    if not found.leader:
        said.append("nobody leads")
    believed = {(node.status.leader, node.status.term) for node in found.nodes if node.status is not None}
    if len(believed) > 1:
        views = ", ".join(f"{name or 'nobody'} (term {term})" for name, term in sorted(believed))
        said.append(f"the nodes disagree on who leads: {views}; ask again in a few seconds")
    return said


def _row(node: Node) -> tuple[str, ...]:
    star, own = "*" if node.leads else "", node.status
    if own is None:
        return (star, node.id, node.url, "", "", "", "", "", "no answer")
    state = "draining" if own.draining else "up"
    numbers = (own.term, own.nodes, own.channels, own.subscribers)
    return (star, node.id, node.url, *map(str, numbers), duration(own.uptime), state)


def duration(seconds: float) -> str:
    """A while in its two largest units: ``4s``, ``3m 20s``, ``5h 1m``, ``2d 3h``."""
    left = int(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        if left >= size or parts or unit == "s":
            parts.append(f"{left // size}{unit}")
            left %= size
        if len(parts) == 2:
            break
    return " ".join(parts)
