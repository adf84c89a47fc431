"""``python -m tests.faults``: one run, judged. It ends with 0 if nothing is held against the system."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.faults.bugs import BUGS
from tests.faults.nemesis import DEFAULT_MIX
from tests.faults.run import Plan, carry_out


def main() -> None:
    standard = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description="Run a cluster under load, do it harm, and say what was lost, doubled or reordered.",
        epilog="Example: python -m tests.faults --seconds 120 --store sqlite --seed 7",
    )
    parser.add_argument("--seconds", type=float, default=standard.seconds, help="of faults (default: %(default)g)")
    parser.add_argument("--store", choices=("mongodb", "sqlite"), default=standard.store)
    parser.add_argument("--nodes", type=int, default=standard.nodes, help="gateways (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=standard.rate, help="webhooks a second (default: %(default)g)")
    parser.add_argument("--tasks", type=float, default=standard.tasks, help="tasks a second (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=standard.seed, help="of all chance (default: %(default)s)")
    parser.add_argument("--pause", type=float, default=standard.pause, help="mean seconds between faults (%(default)g)")
    parser.add_argument("--most", type=int, default=standard.most, help="faults at a time (default: %(default)s)")
    parser.add_argument("--bug", choices=sorted(BUGS), default="", help="plant this bug")
    parser.add_argument("--mix", type=json.loads, default=DEFAULT_MIX, help="JSON: how often each fault comes")
    parser.add_argument("--folder", type=Path, help="for all files; it is emptied first (default: a new one)")
    given = parser.parse_args()
    folder = (given.folder or Path(tempfile.mkdtemp(prefix="faults-"))).absolute()
    plan = Plan(**{name: value for name, value in vars(given).items() if name != "folder"})
    outcome = carry_out(plan, folder)
    print(outcome)
    if not outcome.clean:
        print(f"history: {folder / 'history.jsonl'}\nagain: {plan.command(folder)}")
    sys.exit(not outcome.clean)


if __name__ == "__main__":
    main()
