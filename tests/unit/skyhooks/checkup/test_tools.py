"""Python and the libraries, as they are and as they might be."""

import sys
from importlib import metadata

import pytest

from skyhooks.checkup import Subject
from skyhooks.checkup import tools as module
from skyhooks.checkup.tools import tools
from tests.unit.skyhooks.checkup.planting import names

NOTHING = Subject({})


def test_this_python_and_its_libraries_are_good() -> None:
    found = list(tools(NOTHING))
    assert [finding.level for finding in found] == ["ok", "ok"]
    assert "celery " in found[1].what


def test_an_old_python_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PYTHON", (3, sys.version_info.minor + 1))
    assert names(tools, NOTHING) == ["old_python"]


def test_libraries_that_are_missing_or_old_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: ["nowhere>=1", "celery>=999", 'other; extra == "test"'])
    assert names(tools, NOTHING) == ["missing_library", "wrong_library"]
    fixes = [finding.fix for finding in tools(NOTHING) if finding.fix]
    assert fixes == ["pip install 'nowhere>=1'", "pip install 'celery>=999'"]
