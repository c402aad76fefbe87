"""``python -m bench [NAME...] [--json FILE] [--quick]``: measure, and print a Markdown table.

Parts that can be repeated take turns, round after round, so that a change in the machine's mood meets all of them.
"""

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import floors, footprint, sends
from bench.report import Row, Skip, Target, machine, markdown
from bench.sends import Senders
from bench.service import Service, running

Values = dict[str, float]


class Bench:
    """One run: its sizes, its rows and the service that the repeated parts share."""

    def __init__(self, quick: bool) -> None:
        self.rounds = 1 if quick else 5
        self.scale = 50 if quick else 1
        self.idle_s = 1.0 if quick else 10.0
        self.queued = 2_000 if quick else 100_000
        self.starts = 1 if quick else 3
        self.rows: dict[str, Row] = {}
        self._last: Values = {}

    def row(self, part: str, what: str, unit: str, value: float, target: Target | None = None) -> None:
        """Add one round's value to the row ``what``."""
        self.rows.setdefault(what, Row(part, what, unit, [], target)).values.append(value)

    def skip(self, part: str, reason: str) -> None:
        self.rows[part] = Row(part, part, "", skipped=reason)

    # the parts that take turns

    def floors(self, senders: Senders) -> None:
        home = senders.service.home
        synced_us = floors.synced_append_us(home, 200 // self.scale + 5)
        trip_us = floors.round_trip_us(home, 2000 // self.scale)
        self._last.update(synced=synced_us, trip=trip_us)
        self.row("floors", "floor: 4 KiB append + fdatasync, p50", "µs", synced_us)
        self.row("floors", "floor: ZeroMQ round trip, two processes, p50", "µs", trip_us)

    def single(self, senders: Senders) -> None:
        p50_us, p99_us = sends.single(senders, 400 // self.scale)
        self.row("single", "single durable send, ZeroMQ, p50", "µs", p50_us)
        self.row("single", "single durable send, ZeroMQ, p99", "µs", p99_us)
        if "synced" in self._last:
            ratio = p50_us / (self._last["synced"] + self._last["trip"])
            self.row("single", "single send / (fdatasync + round trip) of its round", "x", ratio, Target(high=2.0))

    def pipelined(self, senders: Senders) -> None:
        rate = sends.pipelined(senders, 10_000 // self.scale)
        self.row("pipelined", "durable sends, one pipelining ZeroMQ client, 256 B", "/s", rate, Target(low=10_000))
        rate = sends.pipelined(senders, 2_000 // self.scale, sends.STRANGER)
        self.row("pipelined", "the same to an unregistered name like three others", "/s", rate)

    def tcp(self, senders: Senders) -> None:
        rate = sends.lasting_tcp(senders, 10_000 // self.scale)
        self.row("tcp", "durable sends, one lasting TCP connection, pipelined, 256 B", "/s", rate, Target(low=5_000))

    def oneshot(self, senders: Senders) -> None:
        for clients, what in ((1, "one client"), (8, "8 clients at once")):
            rate = sends.one_shot_tcp(senders, 1_000 // self.scale, clients)
            self.row(
                "oneshot", f"durable sends, one-shot TCP (connect, send, recv, close), {what}", "/s", rate, Target(low=1_500)
            )

    def cli(self, senders: Senders) -> None:
        taken_ms = sends.command(senders, 5 if self.rounds > 1 else 1)
        self.row("cli", "`ipc send`, whole process", "ms", taken_ms, Target(high=200))

    # the part that is measured once

    def footprint(self) -> None:
        found = footprint.measure(self.queued, self.idle_s, self.starts)
        with_mail = f"with {self.queued:,} queued"
        memory = Target(high=60)
        self.row("footprint", f"broker memory (RSS) after taking them in, {with_mail}", "MB", found.filled_mb, memory)
        self.row("footprint", f"broker memory (RSS) after a restart, {with_mail}", "MB", found.restarted_mb, memory)
        self.row("footprint", f"start until the first answer, {with_mail}", "ms", found.start_ms)
        what = f"idle CPU of all processes over {self.idle_s:g} s, {with_mail}"
        self.row("footprint", what, "%", found.idle_percent, Target(high=0.1))
        self.row("footprint", "footprint: stored - acknowledged", "", float(found.stored - found.acknowledged), Target(high=0))

    # the run

    def run(self, names: list[str]) -> None:
        turns = {name: part for name, part in TURNS.items() if name in names}
        if turns:
            with running() as service:
                self.take_turns(service, turns)
        if "footprint" in names:
            self.guarded("footprint", self.footprint)

    def take_turns(self, service: Service, turns: "dict[str, Callable[[Bench, Senders], None]]") -> None:
        senders = Senders.open(service)
        skipped: set[str] = set()
        try:
            for _ in range(self.rounds):
                for name, part in turns.items():
                    if name not in skipped and not self.guarded(name, partial(part, self, senders)):
                        skipped.add(name)
        finally:
            senders.close()
        self.row("sends", "sends acknowledged", "", float(service.acknowledged))
        self.row("sends", "sends: stored - acknowledged", "", float(service.stored() - service.acknowledged), Target(high=0))

    def guarded(self, name: str, part: Callable[[], None]) -> bool:
        """Run one part; False if it can't be measured here, which its row then says."""
        try:
            part()
        except Skip as reason:
            self.skip(name, str(reason))
            return False
        return True


TURNS: dict[str, Callable[[Bench, Senders], None]] = {
    "floors": Bench.floors,
    "single": Bench.single,
    "pipelined": Bench.pipelined,
    "tcp": Bench.tcp,
    "oneshot": Bench.oneshot,
    "cli": Bench.cli,
}
PARTS = (*TURNS, "footprint")


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 whether or not targets are met: a number is a finding, not a failure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n\n")[2])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"parts to run, of {', '.join(PARTS)}; default all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows with every round's value there, too")
    parser.add_argument("--quick", action="store_true", help="one small round: shows that it works, measures nothing")
    options = parser.parse_args(argv)
    unknown = [name for name in options.names if name not in PARTS]
    if unknown:
        parser.error(f"unknown part {unknown[0]!r}; known: {', '.join(PARTS)}")
    bench = Bench(options.quick)
    bench.run(options.names or list(PARTS))
    rows, facts = list(bench.rows.values()), machine("/tmp")  # noqa: S108 (where bench.service puts its homes)
    print(markdown(rows, facts))
    if options.json:
        text = json.dumps({"machine": facts, "rows": [row.to_json() for row in rows]}, indent=1)
        options.json.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
