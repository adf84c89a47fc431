"""``skyhooks journal``: what happened to results, and who did it."""

from datetime import datetime
from typing import Any

import click
import msgspec

from skyhooks.cli import options


class Entry(msgspec.Struct, frozen=True):
    """One thing that happened, as a gateway tells it."""

    at: float
    event: str
    node: str
    account: str = ""
    task_id: str = ""
    data: dict[str, Any] = {}


class Entries(msgspec.Struct, frozen=True):
    """Entries, oldest first; `more` when there may be later ones."""

    entries: list[Entry]
    more: bool = False


@click.command()
@click.option("--account", metavar="NAME", help="Only what happened for this account.")
@click.option("--task", metavar="ID", help="Only what happened to this task.")
@click.option(
    "--since",
    metavar="WHEN",
    default="1h",
    show_default=True,
    help="90s, 15m, 1h, 7d ago, or a time in seconds since 1970.",
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=1000, show_default=True, help="Entries at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
@options.urls
def journal(
    account: str | None, task: str | None, since: str, limit: int, as_json: bool, urls: tuple[str, ...]
) -> None:
    """Show when results were finished, stored and sent to how many, and by which node; oldest first.

    Example: skyhooks journal --account acme --since 1h
    """
    asked = {"account": account, "task": task, "since": since, "limit": str(limit)}
    query = {name: value for name, value in asked.items() if value is not None}
    found = options.connect(urls).get("/api/journal", Entries, query)
    for entry in found.entries:
        click.echo(msgspec.json.encode(entry) if as_json else line(entry))
    if not found.entries:
        click.echo("Nothing. The journal may lose entries, results do not depend on it. Next: --since 7d", err=True)
    elif found.more:
        click.echo(f"There may be more. Next: --since {found.entries[-1].at!r}", err=True)


def line(entry: Entry) -> str:
    """An entry for people: when, what, where, whose, and the rest."""
    when = datetime.fromtimestamp(entry.at).astimezone().isoformat(sep=" ", timespec="milliseconds")
    whose = " ".join(
        f"{name}={value}" for name, value in (("account", entry.account), ("task", entry.task_id)) if value
    )
    return f"{when}  {entry.event:8}  {entry.node}  {whose}  {said(entry)}".rstrip()


def said(entry: Entry) -> str:
    """What an entry's data says, in words where they are known."""
    data = entry.data
    if entry.event == "finished":
        ran = data.get("runtime")
        return f"{data.get('state', '')}{f' after {ran:.3f} s' if isinstance(ran, int | float) else ''}"
    if entry.event == "sent" and isinstance(counts := data.get("subscribers"), dict):
        return f"to {', '.join(f'{count} in {channel}' for channel, count in counts.items())}"
    if entry.event == "stored" and isinstance(places := data.get("positions"), dict):
        where = ", ".join(f"{channel} at {position}" for channel, position in places.items())
        return f"{data.get('status', '')} {where}".rstrip()
    return " ".join(f"{name}={value}" for name, value in data.items())
