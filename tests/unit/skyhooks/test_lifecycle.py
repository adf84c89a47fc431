from pathlib import Path

import pytest

from skyhooks.lifecycle import TRANSITIONS, Event, State, WrongState, diagram, follow, redrawn

PAGE = Path(__file__).parents[3] / "docs" / "services.md"


def test_a_life_from_beginning_to_end() -> None:
    state, seen = State.NEW, []
    events = (Event.START, Event.STARTED, Event.RELOAD, Event.RELOADED, Event.STOP, Event.ENDED, Event.START)
    for event in events:
        state = follow(state, event)
        seen.append(state.value)
    assert seen == ["starting", "ready", "reloading", "ready", "stopping", "stopped", "starting"]


def test_what_cannot_happen_is_said_with_what_can() -> None:
    with pytest.raises(WrongState, match="a service that is new takes start; got stop"):
        follow(State.NEW, Event.STOP)


def test_every_state_but_the_first_is_reached_and_left() -> None:
    assert set(TRANSITIONS.values()) == set(State) - {State.NEW}
    assert {before for before, _ in TRANSITIONS} == set(State)


def test_the_diagram_shows_the_table() -> None:
    lines = diagram().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert "    ready --> stopping: stop" in lines
    assert len(lines) == len(TRANSITIONS) + 3


def test_the_page_on_services_shows_this_diagram() -> None:
    page = PAGE.read_text()
    assert diagram() in page
    assert redrawn(page) == page
    assert redrawn(page.replace("ready --> stopping: stop", "")) == page


def test_a_page_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no ```mermaid block"):
        redrawn("# Services")
