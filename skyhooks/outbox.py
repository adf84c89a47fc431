"""The outbox of one process: what waits to be sent, in order, and one thread that sends it.

Theory of operation. Parcels queue in the order in which they come. The thread takes what is ready, hands it to
`send` as one batch, and meanwhile the next batch gathers. What `send` leaves unsettled goes back to the front, and
the thread waits with backoff. So the order of a task's parcels never changes, and a gateway that is down costs one
attempt per backoff, not one per result.

Three ways in:

- `deliver` blocks until the parcel is settled, and past its deadline moves it to the spool: for the end of a task,
  inside the task's own thread, greenlet or process. Only then does the task count as done, and is its message
  acknowledged.
- `post` with a slot never blocks: for progress. A newer parcel takes the place of an older one with the same slot;
  when too many wait, the oldest are dropped.
- `post` without a slot never blocks either, but must arrive: for the worker's main process, where blocking would
  stall every other task. After the first failed attempt it is spooled.
"""

import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

import structlog

from skyhooks import background
from skyhooks.backoff import Backoff
from skyhooks.parcel import Parcel
from skyhooks.spool import Spool, SpoolFull

log = structlog.get_logger()

BATCH = 256
"""Parcels that are handed over at once."""
SPOOL_AGAIN = 5.0
"""Seconds between attempts to spool when the spool is full or its disk refuses."""


class Outbox:
    """`send` marks the parcels that it settled and does not raise; at most `limit` parcels with a slot wait."""

    def __init__(
        self, send: Callable[[Sequence[Parcel]], None], spool: Spool, limit: int = 1000, backoff: Backoff | None = None
    ) -> None:
        self._send = send
        self._spool = spool
        self._limit = limit
        self._backoff = backoff or Backoff()
        self._changed = threading.Condition(threading.Lock())
        self._keeping = threading.Lock()
        self._ready: OrderedDict[object, Parcel] = OrderedDict()
        self._flying: Sequence[Parcel] = ()
        self._droppable = 0
        self._dropped = 0
        self._closing = False
        self._thread: threading.Thread | None = None

    def post(self, parcel: Parcel) -> None:
        """Queue a parcel and return at once."""
        with self._changed:
            self._queue(parcel)

    def deliver(self, parcel: Parcel, timeout: float, most: float | None = None) -> None:
        """Queue a parcel and block until it is settled, for up to `timeout` seconds; after that it is in the spool.

        When the spool refuses, it goes on blocking, for up to `most` seconds in all (None: for as long as it takes).
        """
        parcel.waited = True
        try:
            self._deliver(parcel, timeout, most)
        finally:
            parcel.waited = False  # whatever ended the wait, the thread now takes care of the parcel

    def keep(self, parcel: Parcel) -> bool:
        """Put a parcel that has not arrived into the spool; whether that worked (or it has arrived meanwhile)."""
        with self._keeping:  # one copy is enough, whoever gives up first
            if parcel.settled or parcel.kept:
                return True
            try:
                self._spool.put(parcel.contents)
            except (SpoolFull, OSError) as error:
                log.error("spool_refused", task_id=parcel.task_id, account=parcel.account, error=str(error))
                return False
            parcel.kept = True
        log.warning("result_spooled", task_id=parcel.task_id, account=parcel.account)
        with self._changed:
            self._ready.pop(id(parcel), None)
        parcel.finish()
        return True

    def close(self, timeout: float) -> None:
        """Send what waits, for up to `timeout` seconds or until it fails; then spool what must arrive and has not."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        with self._changed:
            left = [parcel for parcel in (*self._flying, *self._ready.values()) if not parcel.slot]
        for parcel in left:
            self.keep(parcel)

    def _deliver(self, parcel: Parcel, timeout: float, most: float | None) -> None:
        began = time.monotonic()
        self.post(parcel)
        remaining = timeout
        while not parcel.wait(max(0.0, remaining)):
            if self.keep(parcel):
                return
            remaining = SPOOL_AGAIN
            if most is not None and time.monotonic() - began + remaining > most:
                log.error("result_only_in_memory", task_id=parcel.task_id, account=parcel.account)
                return

    def _queue(self, parcel: Parcel) -> None:
        key = parcel.slot or id(parcel)
        if parcel.slot and key not in self._ready:
            self._droppable += 1
            if self._droppable > self._limit:
                self._drop_oldest()
        self._ready[key] = parcel
        if self._thread is None or not self._thread.is_alive():
            self._thread = background.start(self._run, "skyhooks-outbox")
        self._changed.notify_all()

    def _drop_oldest(self) -> None:
        oldest = next(key for key, parcel in self._ready.items() if parcel.slot)
        del self._ready[oldest]
        self._droppable -= 1
        self._dropped += 1
        if self._dropped == 1:
            log.warning("progress_dropped", limit=self._limit, hint="results are kept; newer progress replaces older")

    def _run(self) -> None:
        attempt = 0
        while (batch := self._take()) is not None:
            try:
                self._send(batch)
            except Exception:  # a fault of ours must not end the thread and lose the batch with it
                log.exception("send_failed")
            left = self._put_back(batch)
            if not left:
                attempt = 0
                continue
            for parcel in left:
                if not parcel.waited and not parcel.slot:
                    self.keep(parcel)
            if not self._pause(self._backoff.delay(attempt, random.random)):
                return
            attempt += 1

    def _take(self) -> list[Parcel] | None:
        """The next batch; None when there is nothing more and the outbox is closing."""
        with self._changed:
            while not self._ready:
                if self._closing:
                    return None
                self._changed.wait()
            batch = [self._ready.popitem(last=False)[1] for _ in range(min(BATCH, len(self._ready)))]
            self._droppable -= sum(1 for parcel in batch if parcel.slot)
            self._flying = batch
            return batch

    def _put_back(self, batch: Sequence[Parcel]) -> list[Parcel]:
        """Finish what is settled; return the rest to the front, unless something newer has its slot."""
        with self._changed:
            self._flying = ()
            left = [parcel for parcel in batch if not parcel.settled and not parcel.finished]
            for parcel in reversed(left):
                key = parcel.slot or id(parcel)
                if key not in self._ready:
                    self._ready[key] = parcel
                    self._droppable += bool(parcel.slot)
                self._ready.move_to_end(key, last=False)
            if not left:
                self._dropped = 0
        for parcel in batch:
            if parcel.settled:
                parcel.finish()
        return left

    def _pause(self, seconds: float) -> bool:
        """Wait before the next attempt; False when there is none, because the outbox is closing."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._closing, seconds)
