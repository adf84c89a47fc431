"""The rules of the house hold in the tree, and the checkers catch what breaks them."""

from pathlib import Path
from typing import Final

import pytest

from tests.house import badly_named, orphans, too_long, untested

ROOT = Path(__file__).parents[2]

CONTRACT = "tests/contract"
ELSEWHERE: Final[dict[str, str]] = {
    "workers/numbers/__main__.py": "tests/unit/workers/numbers/test_server.py, as a process",
    "workers/numbers/command.py": "tests/unit/workers/numbers/test_server.py, as a process",
    "gateway/__main__.py": "tests/unit/skyhooks/cli/test_gateway.py, as a process",
    "gateway/api/application.py": "tests/unit/gateway/api, whose requests go through it",
    "gateway/api/control.py": "tests/unit/gateway/api, whose handlers are given one",
    "gateway/cluster/roster.py": "it is the contract",
    "skyhooks/cli/logs.py": "tests/integration/test_service_commands.py, whose log it writes",
    "skyhooks/cli/__main__.py": "tests/unit/skyhooks/cli/test_tail.py, as a process",
    "skyhooks/cli/reload.py": "tests/integration/test_service_commands.py, as processes",
    "skyhooks/cli/start.py": "tests/integration/test_service_commands.py, as processes",
    "skyhooks/cli/stop.py": "tests/integration/test_service_commands.py, as processes",
    "skyhooks/visibility.py": "tests/integration/test_brokers.py, on a real Redis",
    "skyhooks/store/base.py": "it is the contract",
    "skyhooks/store/memory.py": CONTRACT,
    "skyhooks/store/memory_log.py": CONTRACT,
    "skyhooks/store/retention.py": CONTRACT,
    "skyhooks/store/supersession.py": CONTRACT,
    "skyhooks/store/mongo/awaiting.py": CONTRACT,
    "skyhooks/store/mongo/blocking.py": CONTRACT,
    "skyhooks/store/mongo/clock.py": CONTRACT,
    "skyhooks/store/mongo/core.py": CONTRACT,
    "skyhooks/store/mongo/deadlines.py": CONTRACT,
    "skyhooks/store/mongo/facet.py": CONTRACT,
    "skyhooks/store/mongo/hooks.py": CONTRACT,
    "skyhooks/store/mongo/journal.py": CONTRACT,
    "skyhooks/store/mongo/leases.py": CONTRACT,
    "skyhooks/store/mongo/results.py": CONTRACT,
    "skyhooks/store/mongo/retention.py": CONTRACT,
    "skyhooks/store/mongo/rounds.py": "tests/integration/test_mongo_retention.py",
    "skyhooks/store/mongo/schema.py": "tests/integration/test_mongo_access.py and test_mongo_faults.py",
    "skyhooks/store/sqlite/connection.py": "tests/unit/skyhooks/store/sqlite/test_database.py",
    "skyhooks/store/sqlite/deadlines.py": CONTRACT,
    "skyhooks/store/sqlite/facet.py": CONTRACT,
    "skyhooks/store/sqlite/hooks.py": CONTRACT,
    "skyhooks/store/sqlite/journal.py": CONTRACT,
    "skyhooks/store/sqlite/leases.py": CONTRACT,
    "skyhooks/store/sqlite/log.py": CONTRACT,
    "skyhooks/store/sqlite/results.py": CONTRACT,
    "skyhooks/store/sqlite/retention.py": CONTRACT,
}
"""Source files without a unit test of their own, and what proves them."""


def test_no_file_and_no_function_is_too_long() -> None:
    assert too_long(ROOT) == []


def test_every_file_is_named_by_a_noun_of_the_field() -> None:
    assert badly_named(ROOT) == []


def test_every_unit_test_has_its_source() -> None:
    assert orphans(ROOT) == []


def test_every_source_has_its_unit_test() -> None:
    assert untested(ROOT, ELSEWHERE) == []


def test_what_is_proven_elsewhere_exists_and_says_where() -> None:
    gone = [name for name in ELSEWHERE if not (ROOT / name).is_file()]
    assert gone == []
    twice = [
        name for name in ELSEWHERE if (ROOT / "tests/unit" / Path(name).parent / f"test_{Path(name).name}").is_file()
    ]
    assert twice == []
    assert all(ELSEWHERE.values())


@pytest.mark.parametrize(("lines", "count"), [(400, 0), (401, 1)])
def test_a_file_has_up_to_400_lines(tmp_path: Path, lines: int, count: int) -> None:
    plant(tmp_path, "gateway/edge/big.py", "x = 1\n" * lines)
    assert len(too_long(tmp_path)) == count


@pytest.mark.parametrize(("lines", "count"), [(60, 0), (61, 1)])
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_function_has_up_to_60_lines(tmp_path: Path, kind: str, lines: int, count: int) -> None:
    plant(tmp_path, "workers/tasks.py", f"class A:\n    {kind} f(self):\n" + "        x = 1\n" * (lines - 1))
    assert len(too_long(tmp_path)) == count


def test_scripts_of_the_page_are_measured_too(tmp_path: Path) -> None:
    plant(tmp_path, "gateway/dashboard/static/app.js", "//\n" * 401)
    assert len(too_long(tmp_path)) == 1


@pytest.mark.parametrize(
    "name", ["skyhooks/utils.py", "gateway/common/ring.py", "tests/http_helpers.py", "bench/Misc.py"]
)
def test_a_name_that_says_nothing_is_found(tmp_path: Path, name: str) -> None:
    plant(tmp_path, name, "")
    assert [problem.partition(":")[0] for problem in badly_named(tmp_path)] == [name]


def test_a_word_inside_another_is_no_bad_name(tmp_path: Path) -> None:
    plant(tmp_path, "skyhooks/commonplace.py", "")
    assert badly_named(tmp_path) == []


def test_a_test_without_source_is_found(tmp_path: Path) -> None:
    plant(tmp_path, "tests/unit/skyhooks/test_gone.py", "")
    plant(tmp_path, "tests/unit/skyhooks/store/test_memory.py", "")
    plant(tmp_path, "tests/unit/skyhooks/test_store.py", "")
    plant(tmp_path, "tests/unit/skyhooks/store/test_memory_under_load.py", "")
    plant(tmp_path, "tests/unit/test_layers.py", "")
    plant(tmp_path, "skyhooks/store/__init__.py", "")
    plant(tmp_path, "skyhooks/store/memory.py", "")
    assert orphans(tmp_path) == ["tests/unit/skyhooks/test_gone.py tests nothing: there is no skyhooks/gone.py"]


def test_a_source_without_test_is_found(tmp_path: Path) -> None:
    plant(tmp_path, "gateway/hub/ring.py", "")
    plant(tmp_path, "gateway/hub/hub.py", "")
    plant(tmp_path, "gateway/node.py", "")
    plant(tmp_path, "gateway/__init__.py", "")
    plant(tmp_path, "tests/unit/gateway/hub/test_hub_edges.py", "")
    found = untested(tmp_path, {"gateway/node.py": "integration"})
    assert found == ["gateway/hub/ring.py has no tests/unit/gateway/hub/test_ring.py"]


def plant(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
