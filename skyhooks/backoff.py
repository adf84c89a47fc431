"""How long to wait before trying again: exponential, with full jitter, bounded. Pure: randomness is an argument."""

from collections.abc import Callable

import msgspec


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Delays that double from `first` seconds up to `most` seconds, each drawn between half of itself and itself."""

    first: float = 0.1
    most: float = 5.0

    def delay(self, attempt: int, random: Callable[[], float]) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 0); `random` gives a number in [0, 1)."""
        ceiling = min(self.most, self.first * 2.0 ** min(attempt, 30))
        return ceiling * (0.5 + random() / 2)
