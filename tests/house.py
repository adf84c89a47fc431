"""Reads the tree and says which files break the rules of the house: their size, their names, tests that mirror them."""

import ast
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Final

ROOMS: Final = ("skyhooks", "gateway", "workers", "tests", "docs", "examples", "bench", "deploy")
MIRRORED: Final = ("skyhooks", "gateway", "workers")
MOST_LINES: Final = 400
MOST_FUNCTION_LINES: Final = 60
FORBIDDEN: Final = frozenset(("util", "utils", "helper", "helpers", "common", "manager", "managers", "misc"))
"""Words that name nothing: a file is named by the noun of the field."""


def sources(root: Path) -> Iterator[Path]:
    """Every Python and JavaScript file of ours, relative to `root`."""
    for room in ROOMS:
        for path in sorted((root / room).rglob("*")):
            if path.suffix in (".py", ".js") and "vendor" not in path.parts:
                yield path.relative_to(root)


def too_long(root: Path) -> list[str]:
    """Files and functions that are more than one idea long."""
    found = []
    for path in sources(root):
        text = (root / path).read_text()
        if (lines := text.count("\n")) > MOST_LINES:
            found.append(
                f"{path} has {lines} lines, {MOST_LINES} at most: which idea in it has no file of its own yet?"
            )
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MOST_FUNCTION_LINES:
                found.append(f"{path}:{node.lineno} {node.name} has {lines} lines, {MOST_FUNCTION_LINES} at most")
    return found


def badly_named(root: Path) -> list[str]:
    """Files and folders whose name says nothing of what is in them."""
    return [
        f"{path}: {', '.join(sorted(words))} names nothing; what is the noun of the field?"
        for path in sources(root)
        if (words := FORBIDDEN.intersection("_".join(path.with_suffix("").parts).lower().split("_")))
    ]


def orphans(root: Path) -> list[str]:
    """Unit tests whose source is gone or was renamed. ``test_ring_edges.py`` may be a second one of ``ring.py``."""
    found = []
    for test in sorted((root / "tests" / "unit").rglob("test_*.py")):
        place = test.relative_to(root / "tests" / "unit")
        if place.parts[0] not in MIRRORED:
            continue
        words = place.stem.removeprefix("test_").split("_")
        subjects = [root / place.parent / "_".join(words[:count]) for count in range(len(words), 0, -1)]
        if not any(path.with_suffix(".py").is_file() or (path / "__init__.py").is_file() for path in subjects):
            found.append(f"{test.relative_to(root)} tests nothing: there is no {subjects[0].relative_to(root)}.py")
    return found


def untested(root: Path, elsewhere: Container[str]) -> list[str]:
    """Source files without a unit test of their name, except those in `elsewhere`, which are proven by other tests."""
    found = []
    for path in sources(root):
        if path.parts[0] not in MIRRORED or path.suffix != ".py" or path.name == "__init__.py":
            continue
        folder = Path("tests", "unit", path.parent)
        tests = [*(root / folder).glob(f"test_{path.name}"), *(root / folder).glob(f"test_{path.stem}_*.py")]
        if str(path) not in elsewhere and not tests:
            found.append(f"{path} has no {folder / f'test_{path.name}'}")
    return found
