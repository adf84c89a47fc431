"""How many requests one client may make: a token bucket for each address, without I/O. Time is passed in.

A bucket of `burst` tokens gains `per_second` tokens a second, and a request takes one. It is kept as one number, the
moment at which it will be full again (the "generic cell rate algorithm", ITU-T I.371): a bucket that is full now is
like one that was never seen. So an address costs one entry, and those that have not asked for longest are forgotten
first, which at worst fills the bucket of somebody who has not asked for long.
"""

from collections import OrderedDict

FORGET = 2
"""Full buckets dropped with each request: more than one, so that they go faster than they come."""


class Rates:
    """The buckets of up to `addresses` clients. A `per_second` of 0 lets everything pass."""

    __slots__ = ("_addresses", "_full_at", "_interval", "_reach")

    def __init__(self, per_second: float, burst: int, addresses: int) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._reach = burst * self._interval
        self._addresses = addresses
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: str, now: float) -> float:
        """Take a token of `key` at `now`, on any steady clock: 0.0, or nothing and the seconds until there is one."""
        if not self._interval:
            return 0.0
        full_at = max(self._full_at.get(key, now), now) + self._interval
        wait = full_at - now - self._reach
        # What is left of a token by rounding is not waited for.
        if wait > self._interval * 1e-6:
            return wait
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        for _ in range(FORGET):
            key, full_at = next(iter(self._full_at.items()))
            if full_at > now and len(self._full_at) <= self._addresses:
                return
            del self._full_at[key]
