"""How often the log hears of one offender. Pure: time is an argument."""

from typing import Final

QUIET_SECONDS: Final = 60.0
"""The same offender is named once in so many seconds; every offence is counted."""

MOST_OFFENDERS: Final = 1000
"""Offenders told apart at a time. Those beyond are counted and not named."""


class Complaints:
    """Remembers who has been complained about."""

    def __init__(self) -> None:
        self._named: dict[str, float] = {}

    def due(self, offender: str, now: float) -> bool:
        """Whether `offender` is to be named at `now`, in seconds of any clock that only grows."""
        last = self._named.get(offender)
        if last is not None and now < last + QUIET_SECONDS:
            return False
        if last is None and len(self._named) >= MOST_OFFENDERS:
            self._named = {name: at for name, at in self._named.items() if now < at + QUIET_SECONDS}
            if len(self._named) >= MOST_OFFENDERS:
                return False
        self._named[offender] = now
        return True
