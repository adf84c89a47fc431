"""Every check, in the order in which people should mend what is found."""

from collections.abc import Iterator
from typing import Final

from skyhooks.checkup.application import application, settings
from skyhooks.checkup.broker import broker
from skyhooks.checkup.finding import Check, Finding
from skyhooks.checkup.gateways import clocks, gateways, secret, stores
from skyhooks.checkup.spool import spool
from skyhooks.checkup.store import store
from skyhooks.checkup.subject import Subject
from skyhooks.checkup.tools import tools

CHECKS: Final[tuple[Check[Subject], ...]] = (
    tools,
    settings,
    application,
    store,
    spool,
    broker,
    gateways,
    stores,
    clocks,
    secret,
)


def examine(subject: Subject) -> Iterator[Finding]:
    """Everything that is found, check by check."""
    for check in CHECKS:
        yield from check(subject)
