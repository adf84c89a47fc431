"""Sockets that never read cost little, delay nobody's stream, and are cut off."""

from pathlib import Path

from tests.faults.slow import READERS, SLEEPERS, SLOW_SECONDS, measure
from tests.gateways import running

MOST_MEMORY = 64_000_000
"""Bytes that the node may grow by: its ring and its buffers, whoever reads or does not."""


async def test_those_who_never_read_are_cut_off_and_the_others_miss_nothing(tmp_path: Path) -> None:
    options = ("--store", f"sqlite://{tmp_path}/s.db", "--open", "-X", f"slow_seconds={SLOW_SECONDS}")
    with running(*options) as gateway:
        figures = await measure(gateway, READERS, SLEEPERS, 10.0)
    print(figures)
    assert figures.evicted == SLEEPERS
    assert figures.complete == READERS
    assert figures.memory < MOST_MEMORY
