"""The states of a service, as a table. Pure; the diagram in the documentation is drawn from it."""

from enum import Enum
from typing import Final


class State(Enum):
    """Where a service is."""

    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    RELOADING = "reloading"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class Event(Enum):
    """What happens to it."""

    START = "start"
    STARTED = "started"
    RELOAD = "reload"
    RELOADED = "reloaded"
    STOP = "stop"
    ENDED = "ended"
    FAIL = "fail"


TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.NEW, Event.START): State.STARTING,
    (State.STOPPED, Event.START): State.STARTING,
    (State.STARTING, Event.STARTED): State.READY,
    (State.STARTING, Event.FAIL): State.FAILED,
    (State.READY, Event.RELOAD): State.RELOADING,
    (State.READY, Event.FAIL): State.FAILED,
    (State.READY, Event.STOP): State.STOPPING,
    (State.RELOADING, Event.RELOADED): State.READY,
    (State.RELOADING, Event.FAIL): State.FAILED,
    (State.FAILED, Event.STOP): State.STOPPING,
    (State.STOPPING, Event.ENDED): State.STOPPED,
}
"""From a state, by an event, to a state. Anything else does not happen."""


class WrongState(Exception):
    """Something was asked of a service that it cannot do in the state it is in: a mistake in the program."""


def follow(state: State, event: Event) -> State:
    """The state after an event. Raises `WrongState`."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        possible = ", ".join(known.value for before, known in TRANSITIONS if before is state)
        raise WrongState(f"a service that is {state.value} takes {possible}; got {event.value}") from None


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.NEW.value}"]
    lines += [f"    {before.value} --> {after.value}: {event.value}" for (before, event), after in TRANSITIONS.items()]
    return "\n".join([*lines, f"    {State.STOPPED.value} --> [*]"])


def redrawn(page: str) -> str:
    """A page whose first Mermaid block is the diagram. Raises `ValueError` for a page without one."""
    before, begins, rest = page.partition("```mermaid\n")
    _, ends, after = rest.partition("\n```")
    if not begins or not ends:
        raise ValueError("the page has no ```mermaid block")
    return f"{before}{begins}{diagram()}{ends}{after}"
