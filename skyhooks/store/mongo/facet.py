"""What every facet of the MongoDB store stands on."""

import time
from collections.abc import Callable

from skyhooks.store.mongo.clock import Clock
from skyhooks.store.mongo.tips import Tips


class Facet:
    """A part of the store, as steps. `clock` is the server's, `steady` counts seconds of this process."""

    def __init__(self, clock: Clock, steady: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steady = steady
        self._tips = Tips(steady)
