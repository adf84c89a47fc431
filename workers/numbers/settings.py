"""Settings of the number server."""

from typing import Final

from skyhooks.settings import Setting, Settings, positive

SLOWEST: Final = 0.01
FASTEST: Final = 600_000.0
"""Numbers in a minute; beyond that one program does nothing but count."""


def rate(text: str) -> float:
    """Read numbers in a minute. Raises `ValueError`."""
    value = float(text)
    if not SLOWEST <= value <= FASTEST:
        raise ValueError(f"expected {SLOWEST:g} to {FASTEST:.0f} numbers in a minute")
    return value


class NumberSettings(Settings):
    """What ``skyhooks numbers`` can be told by config file, ``SKYHOOKS_*`` or ``-X name=value``."""

    numbers_listen = Setting("127.0.0.1:7000", str, "address and port of the number server; port 0 takes a free one")
    rate_per_minute = Setting(60.0, rate, "numbers in a minute, 0.01 to 600,000", live=True)
    numbers_history = Setting(10_000, positive(int), "numbers that are remembered for clients that come back")
    numbers_clients = Setting(100, positive(int), "clients at a time")
    numbers_seconds = Setting(5.0, positive(float), "how long a client may take to say what it wants, and to read")
