"""What happened in a run, as facts in the order in which the harness learned of them: one JSON object a line.

Every fact has ``at`` (seconds since the run began) and ``fact``, which says what else it has:

- ``sent``: somebody began to send `id` into `channel`. `by` sends one thing after the other.
- ``acked``: the system has taken responsibility for `id`.
- ``seen``: `subscriber` was shown `id`, under `position`, in `channel`. `number` stands there for an item of a feed.
- ``gap``: `subscriber` was told that something is missing, from `start` to `end`.
- ``joined``, ``left``: `subscriber` began to follow `channel` from its start; it does so no more.
- ``fault``, ``healed``: what was done to which part.
- ``restarted``: a feed counts anew.
- ``end``: nothing is sent any more, every fault is healed, and the subscribers had time to catch up.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Fact = dict[str, Any]


class History:
    """Writes facts to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._began = time.monotonic()
        self._file = path.open("w")

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def note(self, fact: str, **fields: Any) -> None:
        """Write one fact down."""
        self._file.write(json.dumps({"at": round(self.now, 4), "fact": fact, **fields}) + "\n")

    def reopen(self) -> None:
        """Go on after `close`."""
        self._file = self.path.open("a")

    def close(self) -> None:
        """Everything is on its way to the disk."""
        self._file.close()


def read(path: Path) -> Iterator[Fact]:
    """The facts of a file, in order."""
    with path.open() as file:
        for line in file:
            yield json.loads(line)
