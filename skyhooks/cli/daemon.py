"""What the commands around one configuration file share: its options, its files, and the process behind it."""

import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from skyhooks.cli.state import default_folder
from skyhooks.pidfile import PidFile

F = TypeVar("F", bound=Callable[..., Any])

PAUSE: Final = 0.05
SHOWN_LINES: Final = 15
NOT_RUNNING: Final = 3
"""Exit code of ``status`` when nothing runs (LSB, "program is not running")."""


def configuration(command: F) -> F:
    """The argument CONF.py and ``--pid-file``."""
    pid_file = click.option(
        "--pid-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Where its process id goes.  [default: CONF.pid in the XDG state folder]",
    )
    argument = click.argument(
        "conf", metavar="CONF.py", type=click.Path(path_type=Path, dir_okay=False, resolve_path=True)
    )
    return argument(pid_file(command))


def running(command: F) -> F:
    """Also ``--log-file`` and ``-X``, for commands that start something."""
    log_file = click.option(
        "--log-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Where its log goes.  [default: CONF.log in the XDG state folder; `run`: standard error]",
    )
    overrides = click.option(
        "-X", "overrides", multiple=True, metavar="NAME=VALUE", callback=_pairs, help="Override a setting."
    )
    return configuration(log_file(overrides(command)))


def pid_file_of(conf: Path, given: Path | None) -> PidFile:
    """The pid file of a configuration."""
    return PidFile((given or _folder() / f"{_stem(conf)}.pid").absolute())


def log_file_of(conf: Path, given: Path | None) -> Path:
    """The log file of a configuration that runs in the background."""
    return (given or _folder() / f"{_stem(conf)}.log").absolute()


def command_of(conf: Path, pid_file: PidFile, log_file: Path, overrides: tuple[str, ...]) -> tuple[str, ...]:
    """The command that runs a configuration, with its log in a file."""
    options = [text for pair in overrides for text in ("-X", pair)]
    files = ("--pid-file", str(pid_file.path), "--log-file", str(log_file))
    return (sys.executable, "-P", "-m", "skyhooks.cli", "run", str(conf), *files, *options)


def wait_for(condition: Callable[[], object], seconds: float) -> bool:
    """Whether a condition came true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


def last_lines(path: Path, start: int = 0) -> str:
    """The end of a log, from byte `start` on."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-SHOWN_LINES:])
    except FileNotFoundError:
        return ""


class Running:
    """The process that runs a configuration. Signals reach this very process, never another one with its id.

    Raises `click.ClickException` when there is none, or it is somebody else's.
    """

    def __init__(self, conf: Path, pid_file: PidFile) -> None:
        self.pid = pid_file.holder()
        self._name = conf.name
        if not self.pid:
            raise click.ClickException(
                f"{conf.name} does not run (pid file {pid_file.path}); `skyhooks start` starts it"
            )
        try:
            self._descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            raise click.ClickException(f"{conf.name} has just ended") from None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        try:
            signal.pidfd_send_signal(self._descriptor, number)
        except ProcessLookupError:
            raise click.ClickException(f"{self._name} has just ended") from None
        except PermissionError:
            raise click.ClickException(f"process {self.pid} belongs to another user; ask as that one") from None

    def ended(self, seconds: float = 0.0) -> bool:
        """Whether it has ended, or does so within so many seconds."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))


def _pairs(ctx: click.Context, param: click.Parameter, pairs: tuple[str, ...]) -> tuple[str, ...]:
    for pair in pairs:
        if "=" not in pair:
            raise click.BadParameter(f"expected NAME=VALUE; got {pair!r}", ctx, param)
    return pairs


def _folder() -> Path:
    return default_folder(os.environ) / "run"


def _stem(conf: Path) -> str:
    return conf.name.removesuffix(".py").removesuffix(".conf")
