"""Judges a run by its history alone: what was sent, what was acknowledged, what each subscriber was shown.

It knows nothing of the code: ids and positions are opaque to it. What it holds against the system:

- **lost**: acknowledged, and not shown to a subscriber that followed its channel to the end;
- **doubled**: shown to a subscriber more than once;
- **reordered**: shown to two subscribers of a channel in different orders, or before something that its sender had
  acknowledged before it sent this;
- **unexplained**: a gap notice, although nothing was to be dropped; something that nobody has sent; two things under
  one position, or one thing under two.

``python -m tests.faults.checker HISTORY`` judges a file.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.faults.history import Fact, read

SHOWN = 5
"""Examples of each kind in a report."""


@dataclass
class Verdict:
    """What is held against a run, and what it consisted of."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    sent: int = 0
    acked: int = 0
    seen: int = 0
    subscribers: int = 0
    ended: bool = False
    faults: dict[str, int] = field(default_factory=dict)
    recovery: dict[str, list[float]] = field(default_factory=dict)
    """Seconds from a fault of each kind until the webhook that was first sent after it was shown to somebody."""

    @property
    def clean(self) -> bool:
        """Whether nothing is held against it, and there was something to judge."""
        return self.ended and self.acked > 0 and self.seen > 0 and not any(self.charges.values())

    @property
    def charges(self) -> dict[str, list[str]]:
        """What is held against it, by kind."""
        kinds = ("lost", "doubled", "reordered", "unexplained")
        return {kind: getattr(self, kind) for kind in kinds}

    def __str__(self) -> str:
        counts = "  ".join(f"{kind} = {len(found)}" for kind, found in self.charges.items())
        lines = [
            f"{self.sent} sent, {self.acked} acknowledged, {self.seen} shown to {self.subscribers} subscribers",
            f"faults: {', '.join(f'{kind} {count}' for kind, count in sorted(self.faults.items())) or 'none'}",
            counts if self.ended else f"{counts}  (the run did not come to its end)",
        ]
        for kind, times in sorted(self.recovery.items()):
            ordered = sorted(times)
            middle, late = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 95 // 100)]
            lines.append(f"recovery after {kind}: median {middle:.2f} s, 95% {late:.2f} s, most {ordered[-1]:.2f} s")
        for kind, found in self.charges.items():
            lines += [f"  {kind}: {one}" for one in found[:SHOWN]]
        return "\n".join(lines)


def check(facts: Iterable[Fact]) -> Verdict:
    """Judge a history."""
    trial = _Trial()
    for fact in facts:
        trial.take(fact)
    return trial.conclude()


class _Channel:
    """What is known of one channel from all its subscribers."""

    def __init__(self) -> None:
        self.shown: dict[str, dict[str, float]] = defaultdict(dict)
        """By subscriber: what it was shown and when, in its order."""
        self.numbers: dict[str, list[int]] = defaultdict(list)
        self.acked: dict[str, float] = {}
        self.sent: dict[str, tuple[float, str]] = {}
        self.id_at: dict[str, str] = {}
        self.position_of: dict[str, str] = {}


class _Trial:
    def __init__(self) -> None:
        self._verdict = Verdict()
        self._channels: dict[str, _Channel] = defaultdict(_Channel)
        self._following: dict[str, str] = {}
        self._where: dict[str, str] = {}
        self._faults: list[tuple[float, str]] = []
        self._restarts: dict[str, int] = defaultdict(int)

    def take(self, fact: Fact) -> None:
        getattr(self, f"_{fact['fact']}")(fact)

    def _sent(self, fact: Fact) -> None:
        self._channels[fact["channel"]].sent.setdefault(fact["id"], (fact["at"], fact["by"]))
        self._where[fact["id"]] = fact["channel"]
        self._verdict.sent += 1

    def _acked(self, fact: Fact) -> None:
        self._channels[self._where[fact["id"]]].acked.setdefault(fact["id"], fact["at"])
        self._verdict.acked += 1

    def _joined(self, fact: Fact) -> None:
        self._following[fact["subscriber"]] = fact["channel"]
        self._verdict.subscribers += 1

    def _left(self, fact: Fact) -> None:
        del self._following[fact["subscriber"]]

    def _seen(self, fact: Fact) -> None:
        self._verdict.seen += 1
        channel, who, position = self._channels[fact["channel"]], fact["subscriber"], fact["position"]
        if "number" in fact:
            channel.numbers[who].append(fact["number"])
            name = f"{fact['number']} at {position}"
        else:
            name = fact["id"]
            if name not in channel.sent:
                self._verdict.unexplained.append(f"{who} was shown {name}, which nobody has sent to {fact['channel']}")
        if name in channel.shown[who]:
            self._verdict.doubled.append(f"{who} was shown {name} twice, the second time at {position}")
            return
        channel.shown[who][name] = fact["at"]
        if channel.id_at.setdefault(position, name) != name:
            self._verdict.unexplained.append(f"{position} is both {channel.id_at[position]} and {name}")
        if channel.position_of.setdefault(name, position) != position:
            self._verdict.unexplained.append(f"{name} is at both {channel.position_of[name]} and {position}")

    def _gap(self, fact: Fact) -> None:
        what = f"{fact['subscriber']} was told of a gap from {fact['start']} to {fact['end']}"
        self._verdict.unexplained.append(what)

    def _fault(self, fact: Fact) -> None:
        kind = fact["kind"]
        self._verdict.faults[kind] = self._verdict.faults.get(kind, 0) + 1
        self._faults.append((fact["at"], kind))

    def _healed(self, fact: Fact) -> None:
        """When it ended does not matter: recovery counts from its beginning."""

    def _restarted(self, fact: Fact) -> None:
        self._restarts[fact["channel"]] += 1

    def _end(self, fact: Fact) -> None:
        self._verdict.ended = True

    def conclude(self) -> Verdict:
        for name, channel in self._channels.items():
            stayed = [who for who, followed in self._following.items() if followed == name]
            self._judge_completeness(channel, stayed)
            self._judge_order(channel)
            self._judge_feed(name, channel)
        self._measure()
        return self._verdict

    def _judge_completeness(self, channel: _Channel, stayed: list[str]) -> None:
        for who in stayed:
            shown = channel.shown[who]
            self._verdict.lost += [f"{who} was not shown {one}" for one in channel.acked if one not in shown]
        if channel.acked and not stayed:
            self._verdict.unexplained.append(f"nobody followed {next(iter(channel.acked))} and the like to the end")

    def _judge_order(self, channel: _Channel) -> None:
        """Everyone's order against that of who has seen most, and that one's against the senders'."""
        if not channel.shown:
            return
        longest = max(channel.shown.values(), key=len)
        place = {name: index for index, name in enumerate(longest)}
        for who, shown in channel.shown.items():
            last, before = -1, ""
            for name in shown:
                index = place.get(name, last + 1)
                if index < last:
                    self._verdict.reordered.append(f"{who} was shown {name} after {before}; others see it before")
                last, before = index, name
        by_sender: dict[str, list[str]] = defaultdict(list)
        for name, (_, by) in channel.sent.items():
            if name in place and name in channel.acked:
                by_sender[by].append(name)
        for by, names in by_sender.items():
            self._judge_sender(channel, by, names, place)

    def _judge_sender(self, channel: _Channel, by: str, names: list[str], place: dict[str, int]) -> None:
        """What was acknowledged before something else was sent has to stand before it."""
        acknowledged = sorted(names, key=lambda name: channel.acked[name])
        newest, latest, done = "", -1, 0
        for name in names:  # in the order in which they were sent
            while done < len(acknowledged) and channel.acked[acknowledged[done]] < channel.sent[name][0]:
                if place[acknowledged[done]] > latest:
                    newest, latest = acknowledged[done], place[acknowledged[done]]
                done += 1
            if place[name] < latest:
                what = f"{name} of {by} stands before {newest}, which was acknowledged before it was sent"
                self._verdict.reordered.append(what)

    def _judge_feed(self, name: str, channel: _Channel) -> None:
        """A feed counts by one; it begins anew at most as often as it was restarted."""
        for who, numbers in channel.numbers.items():
            anew = 0
            for before, after in pairwise(numbers):
                if after == before + 1:
                    continue
                if after <= before:
                    anew += 1
                    if anew > self._restarts[name]:
                        self._verdict.doubled.append(f"{who} was shown number {after} of {name} after {before}")
                else:
                    self._verdict.lost.append(f"{who} was shown number {after} of {name} after {before}")

    def _measure(self) -> None:
        """How long after each fault what was sent next was shown to somebody.

        To somebody: others may be away just then. What is the only thing of its sender (a task) waits for other things.
        """
        firsts = sorted(
            (sent, name, channel)
            for channel in self._channels.values()
            for name, (sent, by) in channel.sent.items()
            if by != name
        )
        index = 0
        for at, kind in sorted(self._faults):
            while index < len(firsts) and firsts[index][0] < at:
                index += 1
            if index == len(firsts):
                return
            _, name, channel = firsts[index]
            seen = [shown[name] for shown in channel.shown.values() if name in shown]
            if seen and name in channel.acked:
                self._verdict.recovery.setdefault(kind, []).append(min(seen) - at)


def main() -> None:
    verdict = check(read(Path(sys.argv[1])))
    print(verdict)
    sys.exit(not verdict.clean)


if __name__ == "__main__":
    main()
