"""Writes the pages that are made from the code, so that they cannot lie: settings.md, cli.md, doctor.md, http.md,
openapi.json, and the diagram in services.md.

``python docs/generate.py`` writes them, ``python docs/generate.py --check`` says which are not current.
"""

import json
import string
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from gateway.__main__ import main as gateway
from gateway.api.openapi import document
from gateway.api.problems import PROBLEMS
from gateway.api.surface import Operation, operations
from gateway.mesh.forwarder import main as forwarder
from gateway.settings import NodeSettings
from skyhooks.celery_settings import PREFIX, CelerySettings
from skyhooks.checkup import CHECKS, Mistake
from skyhooks.cli import main as skyhooks
from skyhooks.cli.celery_command import skyhooks as in_celery
from skyhooks.lifecycle import redrawn
from skyhooks.settings import ENV_PREFIX, Setting
from workers.numbers.command import main as numbers
from workers.numbers.settings import NumberSettings

BECOME: Final[dict[str, click.Command]] = {"gateway": gateway, "numbers": numbers, "forwarder": forwarder}
"""Commands that are replaced by another program, which has the options."""
DRAWN: Final = "services.md"
"""A page that is written by hand, but for its diagram."""
FOLDER: Final = Path(__file__).parent
WIDTH: Final = 100
NOTE: Final = "<!-- Made by docs/generate.py from the code; `make format` writes it anew. -->"

SETTINGS_HEAD: Final = """# Settings

A setting is text wherever it comes from. Lists are words separated by commas or spaces; a switch is `yes` or `no`.
A value that cannot be used stops the program with a sentence that names the setting, its source and what was expected.
"""
GATEWAY_HEAD: Final = """## A gateway

Later sources win: the default, a configuration file (`skyhooks run`, [services.md](services.md)), `SKYHOOKS_<NAME>` in
the environment, `-X name=value` (and the options that `skyhooks gateway --help` lists). The ones marked *live* change
with `skyhooks reload`, the others with a restart.
"""
CELERY_HEAD: Final = f"""## A Celery app

`app.conf.{PREFIX}<name>`, else `SKYHOOKS_<NAME>` in the environment, else the default. Under Django's namespace they
are spelled `CELERY_SKYHOOKS_<NAME>`. They count in workers, and wherever tasks are submitted or results asked for.
"""
NUMBERS_HEAD: Final = """## The number server

As for a gateway, with the options that `skyhooks numbers --help` lists.
"""
CLI_HEAD: Final = """# The command line

Exit codes: 0 done, 1 failed, 2 asked for wrongly. Results go to standard output, advice to standard error.
"""

DOCTOR_HEAD: Final = """# What the doctor finds

`skyhooks doctor` looks at this machine, `skyhooks doctor -A myproject` also at a Celery app, and
`celery -A myproject skyhooks doctor` does the same from Celery's own command. Each line is `ok`, `warn` or `fail`; what
is not ok ends with its name, which is in the tables below, and the next line says what to do. The exit code is 1 when
something fails. Nothing is published: gateways are sent one signed request of a content type that they refuse, which
shows as `request_refused` (`bad_content_type`) in their logs.
"""
HTTP_HEAD: Final = """# HTTP

What a gateway's port answers. A gateway serves the whole of it, with its own limits, as `/openapi.json`; the document
of the default settings is [openapi.json](openapi.json). Every `GET` has a `HEAD`. Whatever is refused is answered with
`application/problem+json` (RFC 9457); its `code` is for programs and stays as it is.
"""


def settings_page() -> str:
    """Every setting, with its default and what it means."""
    return "\n".join(
        [
            SETTINGS_HEAD,
            GATEWAY_HEAD,
            _table(NodeSettings.all(), ""),
            CELERY_HEAD,
            _table(CelerySettings.all(), PREFIX),
            NUMBERS_HEAD,
            _table(NumberSettings.all(), ""),
        ]
    )


def cli_page() -> str:
    """The help of every command, as it is shown."""
    inside = _commands(in_celery, "celery -A PROJECT skyhooks", None)
    return "\n".join([CLI_HEAD, *_commands(skyhooks, "skyhooks", None), *inside])


def doctor_page() -> str:
    """Every mistake that a checkup can find, by check, with its fix."""
    parts = [DOCTOR_HEAD]
    for check in CHECKS:
        rows = ["| name | level | this is so when | what to do |", "|---|---|---|---|", *map(_row, check.mistakes)]
        parts += [f"## {check.name.capitalize()}\n\n{check.about}\n", "\n".join(rows) + "\n"]
    return "\n".join(parts)


def _row(mistake: Mistake) -> str:
    # What a finding fills in stands in capitals here.
    names = [name for _, name, _, _ in string.Formatter().parse(mistake.fix) if name]
    fix = mistake.fix.format(**{name: name.upper() for name in names})
    meaning, fix = (text.replace("|", "\\|") for text in (mistake.meaning, fix))
    return f"| `{mistake.name}` | {mistake.level} | {meaning} | {fix} |"


def http_page() -> str:
    """Every operation, and every problem that one may be answered with."""
    rows = ["| request | what it does | answers |", "|---|---|---|", *map(_request, operations(NodeSettings()))]
    kinds = ["| code | status | meaning |", "|---|---|---|"]
    for code, kind in sorted(PROBLEMS.items()):
        kinds.append(f"| `{code}` | {', '.join(map(str, kind.statuses))} | {kind.meaning} |")
    return "\n".join([HTTP_HEAD, "## Requests\n", *rows, "\n## Problems\n", *kinds])


def openapi_document() -> str:
    """The document of a gateway that has the default settings and a secret."""
    return json.dumps(document(NodeSettings(), signed=True), indent=2, ensure_ascii=False)


def _request(operation: Operation) -> str:
    about = f"{operation.summary}. {operation.detail}".strip()
    answers = ", ".join(map(str, operation.replies))
    return f"| `{operation.method.upper()} {operation.path}` | {about} | {answers} |"


def _table(settings: Iterator[Setting[Any]], prefix: str) -> str:
    rows = ["| setting | in the environment | default | meaning |", "|---|---|---|---|"]
    for setting in sorted(settings, key=lambda one: one.name):
        meaning = setting.doc.replace("|", "\\|") + (" (*live*)" if setting.live else "")
        name = setting.name
        rows.append(f"| `{prefix}{name}` | `{ENV_PREFIX}{name.upper()}` | {_default(setting.default)} | {meaning} |")
    return "\n".join(rows) + "\n"


def _default(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float() | int():
            return f"{value:,g}" if isinstance(value, float) else f"{value:,}"
        case tuple():
            return "<br>".join(f"`{word}`" for word in value) or "none"
        case "":
            return "none"
    return f"`{value}`"


def _commands(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    command = BECOME.get(name, command)
    context = click.Context(
        command,
        info_name=name,
        parent=parent,
        **{**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH},
    )
    yield f"## {context.command_path}\n\n```\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None:
                yield from _commands(found, child, context)


PAGES: Final[dict[str, Callable[[], str]]] = {
    "settings.md": settings_page,
    "cli.md": cli_page,
    "doctor.md": doctor_page,
    "http.md": http_page,
    "openapi.json": openapi_document,
}


def stale(folder: Path) -> list[str]:
    """The pages in `folder` that are not what the code says now."""
    current = {name: _whole(name, page) for name, page in PAGES.items()}
    current[DRAWN] = redrawn(_read(folder / DRAWN))
    return [name for name, text in current.items() if _read(folder / name) != text]


def write(folder: Path) -> None:
    """Write every page into `folder`."""
    for name, page in PAGES.items():
        (folder / name).write_text(_whole(name, page))
    (folder / DRAWN).write_text(redrawn(_read(folder / DRAWN)))


def _whole(name: str, page: Callable[[], str]) -> str:
    note = f"{NOTE}\n\n" if name.endswith(".md") else ""
    return f"{note}{page().rstrip()}\n"


def _read(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


if __name__ == "__main__":
    if "--check" not in sys.argv[1:]:
        write(FOLDER)
    elif old := stale(FOLDER):
        sys.exit(f"{', '.join(old)} in docs/ is not what the code says: run `make format` and commit it")
