"""The plan of rooms and layers holds in the source, and the checker catches what breaks it."""

from pathlib import Path

import pytest

from tests.layers import Room, violations

ROOT = Path(__file__).parents[2]

PLAN = {
    "skyhooks": Room(3),
    "skyhooks.errors": Room(0, pure=True),
    "skyhooks.channel": Room(0, pure=True, also=frozenset({"unicodedata"})),
    "skyhooks.store": Room(2),
    "skyhooks.cli": Room(4),
    "gateway.hub": Room(5, pure=True, reach=0),
    "gateway.edge": Room(5, reach=0),
    "gateway.node": Room(6, reach=3),
    "workers": Room(5, reach=3),
}

SOUND = {
    "skyhooks/__init__.py": "from skyhooks.store import open_store\n",
    "skyhooks/errors.py": "import re\nfrom typing import Final\n",
    "skyhooks/channel.py": "import unicodedata\nfrom skyhooks.errors import Refused\n",
    "skyhooks/store/__init__.py": "import sqlite3\nfrom .memory import Memory\nfrom skyhooks import channel\n",
    "skyhooks/store/memory.py": "import time\nimport threading\n",
    "skyhooks/cli/__init__.py": "import os\nfrom skyhooks import open_store\nprint(os.environ)\n",
    "gateway/hub/ring.py": "from skyhooks.errors import Refused\n",
    "gateway/edge/parser.py": "import socket\nfrom skyhooks.channel import channel_name\n",
    "gateway/node.py": "from gateway.hub import ring\nfrom gateway.edge.parser import P\nfrom skyhooks import store\n",
    "workers/app.py": "from skyhooks import open_store\n",
}


def test_the_source_keeps_the_plan() -> None:
    assert violations(ROOT) == []


def test_a_sound_tree_is_accepted(tmp_path: Path) -> None:
    assert violations(plant(tmp_path, {}), PLAN) == []


@pytest.mark.parametrize(
    ("planted", "source", "said"),
    [
        ("skyhooks/errors.py", "from skyhooks.store import x", "the arrow points up, from layer 0 to 2"),
        ("skyhooks/errors.py", "def f():\n    import skyhooks.cli", "the arrow points up, from layer 0 to 4"),
        (
            "skyhooks/errors.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from skyhooks import store",
            "the arrow points up",
        ),
        ("skyhooks/store/memory.py", "from .. import cli", "skyhooks.store.memory:1 imports skyhooks.cli"),
        ("skyhooks/store/memory.py", "from gateway import node", "the arrow points up"),
        ("skyhooks/errors.py", "import time", "reads no clock"),
        ("skyhooks/errors.py", "import os.path", "does no I/O"),
        ("skyhooks/errors.py", "import requests", "does no I/O"),
        ("skyhooks/errors.py", "import unicodedata", "its row does not allow this"),
        ("skyhooks/errors.py", "def f():\n    from random import random", "its row does not allow this"),
        ("skyhooks/errors.py", "text = open('x')", "calls open, in a pure room"),
        ("gateway/hub/ring.py", "import asyncio", "does no I/O"),
        ("gateway/hub/ring.py", "from skyhooks import store", "uses layers 0 to 0 of skyhooks only"),
        ("gateway/hub/ring.py", "from gateway.edge import parser", "is pure, gateway.edge is not"),
        ("gateway/edge/parser.py", "from gateway.hub.ring import Ring", "do not know each other"),
        ("gateway/node.py", "import skyhooks.cli", "uses layers 0 to 3 of skyhooks only"),
        ("gateway/node.py", "from workers import app", "never import each other"),
        ("workers/app.py", "def f():\n    import gateway.node", "never import each other"),
        ("skyhooks/store/memory.py", "import os\nurl = os.environ['X']", "uses os.environ"),
        ("skyhooks/store/memory.py", "from os import getenv", "uses os.getenv"),
        ("skyhooks/store/memory.py", "import logging\nlogging.basicConfig()", "uses logging.basicConfig"),
        ("gateway/node.py", "import structlog\nstructlog.configure()", "uses structlog.configure"),
        ("skyhooks/new.py", "", "skyhooks.new is in no room"),
        ("gateway/room/file.py", "", "gateway.room.file is in no room"),
        ("skyhooks/store/memory.py", "import skyhooks.store", "is a circle"),
    ],
)
def test_a_planted_break_is_found(tmp_path: Path, planted: str, source: str, said: str) -> None:
    first, *more = violations(plant(tmp_path, {planted: source}), PLAN)
    assert said in first
    assert all(problem.endswith("is a circle") for problem in more)  # an arrow that points up may close one as well


def test_a_circle_is_found_once_and_named(tmp_path: Path) -> None:
    root = plant(
        tmp_path,
        {
            "workers/a.py": "from workers.b import b",
            "workers/b.py": "def f():\n    from workers.c import c",
            "workers/c.py": "from workers import a",
        },
    )
    assert violations(root, PLAN) == ["workers.a -> workers.b -> workers.c -> workers.a is a circle"]


def test_imports_for_types_close_no_circle(tmp_path: Path) -> None:
    for_types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from workers import a"
    assert violations(plant(tmp_path, {"workers/a.py": "import workers.b", "workers/b.py": for_types}), PLAN) == []


def test_a_planned_room_without_a_module_is_found(tmp_path: Path) -> None:
    found = violations(plant(tmp_path, {}), {**PLAN, "gateway.mesh": Room(6)})
    assert found == ["the room gateway.mesh is planned, but nothing is there"]


def plant(root: Path, files: dict[str, str]) -> Path:
    """A sound tree with `files` added or put in the place of its own."""
    for name, source in {**SOUND, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return root
