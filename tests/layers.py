"""Reads the imports of the source tree and says which ones break the plan of rooms and layers.

A room is a package or module and what is below it. Imports point down or stay in their layer, and never in a circle. A
*pure* room does no I/O and reads no clock: it may import only the modules of `PURE` and what its row adds. A room's
`reach` is the highest layer of ``skyhooks`` that it may import from. Imports inside functions count, and so do those
for type checking only (except for circles, which they cannot close at run time).
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

PACKAGES: Final = ("skyhooks", "gateway", "workers")


class Room(NamedTuple):
    """One row of the plan."""

    layer: int
    pure: bool = False
    also: frozenset[str] = frozenset()
    reach: int = 9


_PURE = """
__future__ abc base64 binascii bisect codecs collections contextlib dataclasses enum functools hashlib heapq hmac html
itertools json math msgspec operator re string struct types typing
"""
PURE: Final = frozenset(_PURE.split())


def _each(package: str, names: str, room: Room) -> dict[str, Room]:
    return {f"{package}.{name}": room for name in names.split()}


LIBRARY: Final = {
    **_each("skyhooks", "errors channel publication signature backoff webhook settings", Room(0, pure=True)),
    **_each("skyhooks", "event problem", Room(0, pure=True)),
    "skyhooks.lifecycle": Room(0, pure=True),
    **_each("skyhooks", "child supervisor tree service process configfile pidfile runner", Room(1)),
    "skyhooks.store": Room(2),
    **_each("skyhooks.store", "base retention supersession", Room(2, pure=True)),
    **_each("skyhooks", "broker broker_folder client gateways intake outbox parcel registry sender spool", Room(3)),
    **_each("skyhooks", "accounts background celery celery_results celery_settings courier green task_run", Room(3)),
    **_each("skyhooks", "brokers ends heartbeats pulse rabbitmq recovery visibility", Room(3)),
    "skyhooks.keys": Room(3),
    "skyhooks.journal": Room(3, pure=True),
    "skyhooks.reporter": Room(3),
    "skyhooks": Room(3),
    **_each("skyhooks", "adapters checkup cli", Room(4)),
}
GATEWAY: Final = {
    "gateway": Room(5, pure=True),
    "gateway.hub": Room(5, pure=True, also=frozenset({"websockets.frames", "skyhooks.store.base"}), reach=0),
    "gateway.edge": Room(5, reach=0),
    **_each(
        "gateway",
        "appender auth bridge deadlines fanout heads ingest negotiation registrar retention runtime settings submit",
        Room(6, reach=3),
    ),
    **_each("gateway", "subscriptions tls", Room(6, reach=3)),
    "gateway.feeds": Room(6, reach=0),
    "gateway.unlogged": Room(6, reach=2),
    **_each(
        "gateway.cluster", "election gossip roster", Room(6, pure=True, also=frozenset({"skyhooks.registry"}), reach=2)
    ),
    "gateway.cluster": Room(6, reach=3),
    "gateway.mesh": Room(6, reach=3),
    **_each("gateway.mesh", "address batch complaints frames", Room(6, pure=True, reach=0)),
    "gateway.mesh.envelope": Room(6, pure=True, reach=0),
    **_each("gateway", "api channels connect dataplane membership", Room(7, reach=3)),
    "gateway.connect.turns": Room(7, pure=True, reach=0),
    "gateway.connect.commands": Room(7, pure=True, also=frozenset({"gateway.edge.messages"}), reach=0),
    "gateway.node": Room(8, reach=3),
    "gateway.__main__": Room(9, also=frozenset({"skyhooks.cli.logs"}), reach=3),
}
WORKERS: Final = {
    "workers": Room(5, reach=3),
    "workers.numbers.__main__": Room(7, reach=3),
    "workers.numbers.command": Room(6, also=frozenset({"skyhooks.cli.logs"}), reach=3),
}
ROOMS: Final = {**LIBRARY, **GATEWAY, **WORKERS}

STRANGERS: Final = frozenset({("gateway", "workers"), ("workers", "gateway")})
"""Packages that never import each other."""

APPLICATIONS: Final = ("gateway.__main__", "skyhooks.cli", "workers")
"""Only these read the environment and configure logging."""

STANDS_IN: Final = {"skyhooks.celery": ("os.environ",)}
"""Celery makes the result backend by its name in somebody's application, so nobody else can hand it the environment."""

BESIDES: Final = {"gateway.edge": frozenset({"gateway.hub"})}
"""Rooms of one layer that do not know each other: who, and whom not."""


class Import(NamedTuple):
    """One import: the module it is in, what it names, where, and whether it happens at run time."""

    importer: str
    target: str
    line: int
    at_run_time: bool


def violations(root: Path, rooms: Mapping[str, Room] = ROOMS) -> list[str]:
    """Every break of the plan in the tree at `root`, as sentences."""
    modules = {name_of(path, root): path for package in PACKAGES for path in (root / package).rglob("*.py")}
    found: list[str] = []
    imports: list[Import] = []
    for module, path in sorted(modules.items()):
        tree = ast.parse(path.read_text(), str(path))
        if room_of(module, rooms) is None:
            found.append(f"{module} is in no room: give it a row in tests/layers.py")
            continue
        of_module = list(imports_of(tree, module, path.name == "__init__.py", frozenset(modules)))
        imports += of_module
        found += [problem for one in of_module if (problem := judge(one, rooms))]
        found += forbidden_calls(tree, module, rooms)
    found += [f"{' -> '.join(circle)} is a circle" for circle in circles(imports)]
    found += [f"the room {room} is planned, but nothing is there" for room in rooms if not lived_in(room, modules)]
    return found


def name_of(path: Path, root: Path) -> str:
    """The dotted name of a file's module."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str, rooms: Mapping[str, Room]) -> str | None:
    """The innermost room that a module is in. A whole package's own row holds only its ``__init__``."""
    name = module
    while name not in rooms:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return name if name not in ("skyhooks", "gateway") or name == module else None


def lived_in(room: str, modules: Mapping[str, Path]) -> bool:
    """Whether any module is in a room's name."""
    return any(module == room or module.startswith(f"{room}.") for module in modules)


def imports_of(tree: ast.Module, module: str, is_package: bool, modules: frozenset[str]) -> Iterator[Import]:
    """Every import of a module, wherever it stands in it."""
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package)
            names = [_target(base, alias.name, modules) for alias in node.names]
        else:
            continue
        for name in names:
            yield Import(module, name, node.lineno, id(node) not in for_types)


def judge(one: Import, rooms: Mapping[str, Room]) -> str | None:
    """What is wrong with an import; None when nothing is."""
    where = f"{one.importer}:{one.line} imports {one.target}"
    mine = room_of(one.importer, rooms) or ""
    room, package = rooms[mine], one.target.partition(".")[0]
    if package not in PACKAGES:
        allowed = not room.pure or package in PURE or one.target in room.also
        return None if allowed else f"{where}: {mine} does no I/O and reads no clock; its row does not allow this"
    theirs = room_of(one.target, rooms)
    if theirs is None:
        return f"{where}, which is in no room"
    if (one.importer.partition(".")[0], package) in STRANGERS:
        return f"{where}: these two never import each other"
    if one.target in room.also:
        return None
    if rooms[theirs].layer > room.layer:
        return f"{where}: the arrow points up, from layer {room.layer} to {rooms[theirs].layer}"
    if package == "skyhooks" and rooms[theirs].layer > room.reach:
        return f"{where}: {mine} uses layers 0 to {room.reach} of skyhooks only"
    if theirs in BESIDES.get(mine, ()):
        return f"{where}: these rooms do not know each other"
    if room.pure and not rooms[theirs].pure:
        return f"{where}: {mine} is pure, {theirs} is not"
    return None


def forbidden_calls(tree: ast.Module, module: str, rooms: Mapping[str, Room]) -> Iterator[str]:
    """I/O by built-in functions in a pure room; the environment or logging set up outside an application."""
    pure = rooms[room_of(module, rooms) or ""].pure
    application = any(module == name or module.startswith(f"{name}.") for name in APPLICATIONS)
    for node in ast.walk(tree):
        text = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        if text in STANDS_IN.get(module, ()):
            continue
        if pure and isinstance(node, ast.Call) and ast.unparse(node.func) in ("open", "print", "input"):
            yield f"{module}:{node.lineno} calls {ast.unparse(node.func)}, in a pure room"
        if not application and text in ("os.environ", "os.getenv", "logging.basicConfig", "structlog.configure"):
            yield f"{module}:{node.lineno} uses {text}, which only applications do"
        if not application and isinstance(node, ast.ImportFrom) and node.module == "os":
            for alias in node.names:
                if alias.name in ("environ", "getenv"):
                    yield f"{module}:{node.lineno} uses os.{alias.name}, which only applications do"


def circles(imports: list[Import]) -> list[list[str]]:
    """Modules of ours that import each other at run time, each circle once."""
    graph: dict[str, set[str]] = {}
    for one in imports:
        if one.at_run_time and one.target.partition(".")[0] in PACKAGES and one.target != one.importer:
            graph.setdefault(one.importer, set()).add(one.target)
    found: dict[frozenset[str], list[str]] = {}

    def walk(module: str, trail: list[str], done: set[str]) -> None:
        if module in trail:
            circle = [*trail[trail.index(module) :], module]
            found.setdefault(frozenset(circle), circle)
        elif module not in done:
            for target in sorted(graph.get(module, ())):
                walk(target, [*trail, module], done)
            done.add(module)

    done: set[str] = set()
    for module in sorted(graph):
        walk(module, [], done)
    return list(found.values())


def _absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    kept = parts[: len(parts) - node.level + is_package]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _target(base: str, name: str, modules: frozenset[str]) -> str:
    """``from a import b`` names the module ``a.b`` when there is one, else the module ``a``."""
    return f"{base}.{name}" if f"{base}.{name}" in modules else base
