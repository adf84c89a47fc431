"""Configuration files: Python files of plain variables, and a ``service`` function that makes what is to run.

    from gateway.node import Node
    from gateway.settings import NodeSettings as settings

    engine = "asyncio"
    listen = "127.0.0.1:8080"

    def service(settings):
        return Node(settings)

``settings`` is the group that the variables belong to (also in capitals: ``LISTEN``); ``service`` is called with one of
these, filled from the file, the environment and ``-X name=value``, or without it when it takes nothing. What a file
needs for itself begins with an underscore.

``engine`` is found without running the file, because gevent has to patch before anything else is imported; so it is a
text that stands there as such.
"""

import ast
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from skyhooks.errors import SettingsError
from skyhooks.settings import Settings

ENGINES: Final = ("asyncio", "gevent", "threads")
PLAIN: Final = (bool, int, float, str, tuple, list)


class Configuration:
    """One reading of the file at `path`: its variables, its group of settings, and how to make its service."""

    def __init__(self, path: Path, names: Mapping[str, Any], assigned: frozenset[str] | None = None) -> None:
        group, make = names.get("settings", Settings), names.get("service")
        if not (isinstance(group, type) and issubclass(group, Settings)):
            raise SettingsError(
                f"`settings` in {path} must be a group of settings, such as NodeSettings; got {group!r}"
            )
        if not callable(make):
            raise SettingsError(f"{path} must have a function `service` that returns what is to run")
        self.group: type[Settings] = group
        self._make: Callable[..., object] = make
        self.values = _values(path, {setting.name for setting in group.all()}, names, assigned or frozenset(names))

    def make(self, settings: Settings) -> object:
        """What the file's ``service`` returns."""
        return self._make(settings) if inspect.signature(self._make).parameters else self._make()


def engine_of(path: Path) -> str:
    """What the file's service runs on, found without running the file. Raises `SettingsError`."""
    for statement in _parsed(path).body:
        if isinstance(statement, ast.Assign) and any(ast.unparse(one) == "engine" for one in statement.targets):
            engine = getattr(statement.value, "value", None)
            if engine not in ENGINES:
                raise SettingsError(
                    f"{path} line {statement.lineno}: engine is one of {', '.join(ENGINES)}, written as a text; "
                    f"got {ast.unparse(statement.value)}"
                )
            return str(engine)
    return ENGINES[0]


def read_configuration(path: Path) -> Configuration:
    """Run the file. Raises `SettingsError` with the place for anything that is wrong in it."""
    tree = _parsed(path)
    names: dict[str, Any] = {"__file__": str(path), "__name__": "skyhooks_configuration"}
    try:
        exec(compile(tree, str(path), "exec"), names)  # noqa: S102  # it is a program, and its owner's own
    except (Exception, SystemExit) as error:
        trace, line = error.__traceback__, 0
        while trace is not None:
            line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == str(path) else line
            trace = trace.tb_next
        raise SettingsError(f"{path} line {line}: {type(error).__name__}: {error}") from error
    stored = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    return Configuration(path, names, frozenset(node.id for node in stored))


def _values(path: Path, known: set[str], names: Mapping[str, Any], assigned: frozenset[str]) -> dict[str, Any]:
    """The variables that are settings. One that is none is a mistake, unless it was imported or begins with _."""
    found: dict[str, Any] = {}
    for name, value in names.items():
        if name not in assigned or name.startswith("_") or name in ("engine", "settings", "service"):
            continue
        setting = name if name in known else name.lower()
        if setting in found:
            raise SettingsError(f"{path} sets {setting} twice, in small letters and in capitals")
        if setting in known:
            found[setting] = value
        elif isinstance(value, PLAIN):
            raise SettingsError(
                f"{path} sets {name}, which is no setting; known: {', '.join(sorted(known)) or 'none'}. "
                f"What the file needs for itself is spelled _{name}"
            )
    return found


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(), str(path))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 0
        raise SettingsError(f"{path} line {line}: {getattr(error, 'msg', error)}") from error
