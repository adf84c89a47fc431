"""``skyhooks submit``: hand a task to Celery through a gateway, and watch it to its end."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import click
import msgspec

from skyhooks.cli import options
from skyhooks.client import Client, Gap, Submitted

BAR = 30


@click.command(epilog="Exit code 1 with --wait when the task has failed.")
@click.argument("task")
@click.argument("arguments", metavar="[JSON]", callback=options.json_value, default="[]")
@click.option("--account", metavar="NAME", help="Whose task it is: its results go to accounts/NAME too.")
@click.option(
    "--deadline", type=float, metavar="SECONDS", help="When it counts as failed unless it has ended; 0: never."
)
@click.option("--expires", type=float, metavar="SECONDS", help="When it is not run any more unless it has begun.")
@click.option("--wait", is_flag=True, help="Show its progress until it ends.")
@options.urls
def submit(
    task: str,
    arguments: Any,
    account: str | None,
    deadline: float | None,
    expires: float | None,
    wait: bool,
    urls: tuple[str, ...],
) -> None:
    """Submit TASK with the arguments in JSON: a list, or an object of named ones.

    Example: skyhooks submit workers.tasks.countdown '{"total": 5}' --account demo --wait
    """
    if not isinstance(arguments, list | dict):
        raise click.BadParameter(f"expected a JSON list or object; got {arguments!r}", param_hint="JSON")
    args, kwargs = (arguments, {}) if isinstance(arguments, list) else ([], arguments)
    client = options.connect(urls)
    done = client.submit(task, args, kwargs, account, deadline=deadline, expires=expires)
    click.echo(done.task_id)
    if wait:
        raise SystemExit(_watch(client, done))
    channel = done.channels.get("account", done.channels["task"])
    click.echo(f"Next: skyhooks tail {channel} --since {done.positions[channel]}", err=True)


def _watch(client: Client, task: Submitted) -> int:
    """Print what becomes of a task until it has ended; 0 when it succeeded."""
    channel = task.channels["task"]
    with suppress(KeyboardInterrupt):
        for event in _events(client, channel, task.positions[channel]):
            click.echo(describe(event))
            if event.get("end"):
                return 0 if event.get("state") == "SUCCESS" else 1
    click.echo(f"\nThe task goes on. Next: skyhooks tail {channel} --since 0", err=True)
    return 1


def _events(client: Client, channel: str, since: str) -> Iterator[dict[str, Any]]:
    for item in client.tail(channel, since, lost=lambda why: click.echo(f"connection lost ({why})", err=True)):
        if not isinstance(item, Gap) and isinstance(event := item.data, dict):
            yield event


def describe(event: dict[str, Any]) -> str:
    """One line about a state of a task: its progress as a bar, its result or its error."""
    state = str(event.get("state", "?"))
    meta, error = event.get("meta"), event.get("error")
    if isinstance(error, dict):
        return f"{state:9} {error.get('type', '')}: {error.get('message', '')}"
    if error:
        return f"{state:9} {error}"
    if isinstance(meta, dict):
        return f"{state:9} {_bar(meta.get('current'), meta.get('total')) or _json(meta)}"
    if state == "SUCCESS":
        return f"{state:9} {_json(event.get('result'))}"
    return state


def _bar(current: Any, total: Any) -> str:
    """How much is done, drawn; empty when these are not numbers that say so."""
    if not isinstance(current, int | float) or not isinstance(total, int | float) or total <= 0:
        return ""
    done = min(1.0, max(0.0, current / total))
    return f"[{('#' * round(done * BAR)).ljust(BAR, '.')}] {current}/{total}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
