"""Is the checker worth anything? Ten bugs are planted one after the other, and it has to find each.

``make faults-selftest``, or ``python -m tests.faults.selftest NAME …`` for some of them.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.faults.bugs import BUGS
from tests.faults.run import Plan, carry_out

SHORT: Final = Plan(seconds=25.0, store="sqlite", nodes=3, rate=100.0, tasks=10.0, seed=1, pause=1.5, quiet=20.0)
PLANS: Final[dict[str, tuple[Plan, tuple[str, ...]]]] = {
    "ack-before-commit": (replace(SHORT, mix={"kill-gateway": 1}), ("lost",)),
    "no-fence": (replace(SHORT, mix={"pause-leader": 1}, pause=0.5), ("doubled", "reordered", "lost")),
    "no-gap-repair": (replace(SHORT, mix={"lose-frames": 1}), ("lost",)),
    "no-idempotence": (replace(SHORT, mix={"cut-one-way": 1, "crash-gateway": 2}), ("doubled",)),
    "reuse-offsets": (
        replace(SHORT, mix={"reload-gateway": 1}, settings={"trim_seconds": "2"}),
        ("unexplained", "lost", "reordered"),
    ),
    "replay-off-by-one": (replace(SHORT, mix={"kill-gateway": 1}), ("lost",)),
    "unordered-mesh": (replace(SHORT, mix={"lose-frames": 1}), ("lost",)),
    "resume-by-time": (replace(SHORT, mix={"reload-gateway": 1}), ("doubled", "lost")),
    "forget-laggards": (replace(SHORT, mix={"stall": 2, "reload-gateway": 3}, pause=0.7, pad=20_000), ("lost",)),
    "early-ack": (replace(SHORT, mix={"kill-worker": 1}, tasks=30.0), ("lost",)),
}
"""What a bug is shown by: a short run, and the charges of which one has to be brought."""
SOUND: Final = replace(SHORT, pause=1.0, quiet=Plan.quiet)
"""The same without a bug, with every fault: nothing may be held against it."""


def find(name: str, folder: Path) -> bool:
    """Whether the checker brings one of the right charges against a bug; none at all where there is no bug."""
    plan, charges = PLANS[name] if name else (SOUND, ())
    outcome = carry_out(replace(plan, bug=name), folder, lambda _: None)
    verdict = outcome.verdict
    counts = ", ".join(f"{kind} {len(found)}" for kind, found in verdict.charges.items())
    found = any(verdict.charges[charge] for charge in charges) if name else outcome.clean
    print(f"{'ok  ' if found else 'FAIL'} {name or 'no bug':20} {counts} ({verdict.sent} sent)", flush=True)
    if not found:
        print(f"{outcome}\nhistory: {folder / 'history.jsonl'}", flush=True)
    return found


def main() -> None:
    names = sys.argv[1:] or ["", *BUGS]
    if unknown := sorted(set(names) - {"", *BUGS}):
        sys.exit(f"expected names of bugs ({', '.join(BUGS)}); got {', '.join(unknown)}")
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        found = [find(name, Path(folder, name or "sound")) for name in names]
    caught = sum(found[bool("" in names) :])
    print(f"{caught} of {len(found) - ('' in names)} bugs caught")
    sys.exit(not all(found))


if __name__ == "__main__":
    main()
