"""Findings, mistakes and checks."""

from collections.abc import Iterator

import pytest

from skyhooks.checkup.finding import Finding, Mistake, check, good

LOOSE = Mistake("loose", "warn", "a screw is loose.", "tighten {screw}")
LOST = Mistake("lost", "fail", "a screw is lost.", "buy one")


def test_a_mistake_becomes_a_finding_with_its_fix() -> None:
    found = LOOSE.found("it rattles", screw="the left one")
    assert found == Finding("warn", "it rattles", "tighten the left one", "loose")


def test_a_check_has_the_name_and_the_words_of_its_function() -> None:
    @check(LOOSE)
    def screws(count: int) -> Iterator[Finding]:
        """Whether they hold."""
        yield good(f"{count} hold")

    assert (screws.name, screws.about, screws.mistakes) == ("screws", "Whether they hold.", (LOOSE,))
    assert [finding.what for finding in screws(4)] == ["4 hold"]


def test_a_check_finds_only_what_it_has_declared() -> None:
    @check(LOOSE)
    def screws(_: object) -> Iterator[Finding]:
        yield LOST.found("there is a hole")

    with pytest.raises(LookupError, match="lost"):
        list(screws(None))
