"""Two minutes of everything that can go wrong, on both stores: nothing is lost, doubled, reordered or unexplained."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.run import Plan, Run

SHORT = Plan(seconds=60.0, rate=120.0, tasks=10.0, seed=20, pause=1.0)


@pytest.mark.timeout(360)
@pytest.mark.parametrize(
    "plan", [replace(SHORT, store="mongodb"), replace(SHORT, store="sqlite")], ids=lambda p: p.store
)
async def test_nothing_is_lost_doubled_or_reordered(plan: Plan, tmp_path: Path) -> None:
    outcome = await Run(plan, tmp_path / "run").carry_out()
    print(outcome)
    again = plan.command(Path("faults"))
    assert outcome.clean, f"{outcome}\nhistory: {tmp_path / 'run' / 'history.jsonl'}\nagain: {again}"
    assert outcome.kills > 5, "the nemesis was at work"
