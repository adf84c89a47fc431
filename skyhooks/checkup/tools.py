"""Python and the libraries."""

import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Final

from packaging.requirements import Requirement

from skyhooks.checkup.finding import Finding, Mistake, check, good
from skyhooks.checkup.subject import Subject

PYTHON: Final = (3, 11)

OLD_PYTHON: Final = Mistake(
    "old_python", "fail", "this Python is older than skyhooks can run on.", "install Python {wanted} or newer"
)
MISSING_LIBRARY: Final = Mistake(
    "missing_library", "fail", "a library that skyhooks needs is not installed.", "pip install '{requirement}'"
)
WRONG_LIBRARY: Final = Mistake(
    "wrong_library",
    "fail",
    "a library, Celery perhaps, is older or newer than skyhooks can use.",
    "pip install '{requirement}'",
)


@check(OLD_PYTHON, MISSING_LIBRARY, WRONG_LIBRARY)
def tools(_: Subject) -> Iterator[Finding]:
    """Python and every library that skyhooks asks for."""
    if sys.version_info < PYTHON:
        yield OLD_PYTHON.found(f"Python {platform.python_version()}", wanted=".".join(map(str, PYTHON)))
    else:
        yield good(f"Python {platform.python_version()}")
    versions = []
    for text in metadata.requires("skyhooks") or ():
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield MISSING_LIBRARY.found(f"{requirement.name} is not installed", requirement=requirement)
            continue
        if requirement.specifier.contains(version, prereleases=True):
            versions.append(f"{requirement.name} {version}")
        else:
            found = f"{requirement.name} {version}, but {requirement.specifier} is needed"
            yield WRONG_LIBRARY.found(found, requirement=requirement)
    yield good(f"libraries: {', '.join(sorted(versions))}")
