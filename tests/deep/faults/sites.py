"""Mail among three sites over a real cluster, while nodes, bridges and brokers are killed and frozen; ``--seed N`` repeats.

Six agents, two at each of three sites, each write to the four of the other sites, and read. With every fault a share of the
messages is released, so mail is under way at each. Then all is mended, every mailbox is emptied, and the history
(``tests.deep.faults.history``) is judged for each pair of agents: lost, doubled, out of order, forged, in the wrong box.

Once all disks of all nodes are wiped. Once a site is set back to a backup, and this is what the judge counts then. The
site's agents rest while the backup is taken and while the site is restored, so nothing is half asked.

- What the site's agents sent and its broker took before the backup must arrive, once, in order.
- What its broker took after the backup is no longer in its database. It must arrive, once and in order, if the link had
  published it and a quorum of the nodes had acknowledged it: the database that the restore set aside says so (the row has
  left the outbox, or holds its number in the stream that is there now). Else nobody has it any more, no link can bring it,
  and it may come or not. It is counted as ``gone with the restored database``.
- What the site's agents had acknowledged before the backup must not come again. All that came later must come again, once
  and in order: the stream still has it, or its sender.
- Messages of the other sites have no exception.
"""

import argparse
import contextlib
import json
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from broker.client.sync import Connection
from tests.conftest import wait_for
from tests.deep.faults import report
from tests.deep.faults.history import Mailbox, Problem
from tests.deep.faults.sites_agents import Correspondent
from tests.deep.faults.sites_judge import SitesHistory, unpublished
from tests.deep.faults.sites_plan import BACKUP, RESTORE, WIPE, Fault, drawn
from tests.deep.faults.sites_violence import Violence
from tests.deep.faults.sites_world import BACK_S, SITES, Site, World

NAMES = ("ann", "ben")
MESSAGES, FAULTS, PACE_S = 20_000, 105, 1.5
_STALLED_S = 60.0
"""A run in which no mail has come for so long has lost what is missing."""
_QUIET_S = 2.0
"""So long after the last mail came, what is doubled must have come, too."""


@dataclass(slots=True)
class Result:
    """What a run did, and what it found."""

    seed: str
    seconds: float = 0.0
    tried: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    @property
    def faults(self) -> int:
        return sum(self.tried.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "faults": dict(sorted(self.tried.items())),
            "counts": dict(sorted(self.counts.items())),
            "problems": dict(Counter(p.rule for p in self.problems)),
            "first_problems": [f"{p.rule}: {p.detail}" for p in self.problems[:20]],
        }


@dataclass(slots=True)
class Backup:
    """A site's backup, and what the judge knew when it was taken."""

    file: str
    boxes: dict[str, Mailbox]
    accepted: set[str]


class Run:
    """The world, its agents and what is done to them, in this order."""

    def __init__(self, seed: str, messages: int, faults: int, pace_s: float, tell: Callable[[str], None]) -> None:
        self.plan = drawn(seed, faults, pace_s)
        self.result = Result(seed)
        self.history = SitesHistory([f"{name}@{site}" for site in SITES for name in NAMES])
        self._share = -(-messages // len(self.history.names))
        self._done = 0
        self._tell = tell
        self._seed = seed
        self._began_s = time.monotonic()
        self._backups: dict[str, Backup] = {}

    def run(self) -> Result:
        with World() as world:
            self.world, self.violence = world, Violence(world)
            self._tell(f"three nodes and three sites are up after {time.monotonic() - self._began_s:.1f} s")
            self.agents = [self._agent(name) for name in self.history.names]
            try:
                for agent in self.agents:
                    agent.start()
                for fault in self.plan:
                    self._done += 1
                    self._suffer(fault)
                self.violence.mend()
                self._until_all_came()
            finally:
                self._stop_agents()
            self._judge()
        self.result.seconds = time.monotonic() - self._began_s
        return self.result

    def _agent(self, address: str) -> Correspondent:
        name, _, site = address.partition("@")
        service = self.world.site(site)
        return Correspondent(
            address, service.connect(name), Connection(service.settings), self.history, self._released, self._seed
        )

    def _released(self) -> int:
        """How many messages each agent may have sent by now."""
        return self._share * self._done // len(self.plan)

    # what happens

    def _suffer(self, fault: Fault) -> None:
        self.violence.pass_time(fault.pause_s)
        site = self.world.sites[fault.victim]
        now = f"{time.monotonic() - self._began_s:5.1f} s, {self.history.missing()} under way"
        self._tell(f"{now}: {self._done} {fault.kind} ({fault.victim}, {fault.away_s:.1f} s)")
        if fault.kind == WIPE:
            self.violence.wipe_all(fault.away_s)
        elif fault.kind == BACKUP:
            self._back_up(site)
        elif fault.kind == RESTORE:
            self._restore(site)
        else:
            self.violence.do(fault)
        self.result.tried[fault.kind] += 1
        self._raise_errors()

    @contextlib.contextmanager
    def _at_rest(self, site: Site) -> Iterator[list[str]]:
        """The addresses of a site's agents, which ask nothing meanwhile."""
        with contextlib.ExitStack() as stack:
            resting = [agent for agent in self.agents if agent.name.endswith(f"@{site.name}")]
            for agent in resting:
                assert agent.turn.acquire(timeout=BACK_S), f"{agent.name} has not come to rest"
                stack.callback(agent.turn.release)
            yield [agent.name for agent in resting]

    def _back_up(self, site: Site) -> None:
        file = str(self.world.folder / f"{site.name}.tar")
        self.violence.mend(site)
        with self._at_rest(site) as names:
            site.ipc("backup", file)
            self._backups[site.name] = Backup(file, self.history.saved(names), self.history.accepted(names))

    def _restore(self, site: Site) -> None:
        backup = self._backups[site.name]
        self.violence.mend()
        wait_for("something published since the backup", lambda: self._published(site, backup), BACK_S, site.says)
        with self._at_rest(site) as names:
            site.down()
            aside = json.loads(site.ipc("restore", backup.file, "--force", "--json"))["set_aside"]
            since = self.history.accepted(names) - backup.accepted
            gone = since - self._published(site, backup, Path(aside))
            self._tell(f"    {len(since)} messages are younger than the backup, {len(gone)} of them were not published")
            self.history.set_back(backup.boxes, gone)
            site.start()

    def _published(self, site: Site, backup: Backup, home: Path | None = None) -> set[str]:
        """Keys of what a site's agents have sent since its backup, and the link has published: as its database says."""
        names = [agent.name for agent in self.agents if agent.name.endswith(f"@{site.name}")]
        return self.history.accepted(names) - backup.accepted - unpublished(home or site.home)

    # how it ends

    def _until_all_came(self) -> None:
        missing, since_s = -1, time.monotonic()
        while missing and time.monotonic() - since_s < _STALLED_S:
            self._raise_errors()
            now = self.history.missing() + sum(self._share - agent.sent for agent in self.agents)
            if now != missing:
                missing, since_s = now, time.monotonic()
            time.sleep(0.05)
        self._tell(f"{time.monotonic() - self._began_s:5.1f} s, {missing} are missing; {_QUIET_S:g} s more for what is doubled")
        time.sleep(_QUIET_S)

    def _stop_agents(self) -> None:
        for agent in self.agents:
            agent.stopping.set()
        for agent in self.agents:
            if agent.ident is not None:
                agent.join(BACK_S)

    def _raise_errors(self) -> None:
        for agent in self.agents:
            if agent.error:
                raise AssertionError(f"{agent.name} failed: {agent.error!r}") from agent.error

    def _judge(self) -> None:
        self._raise_errors()
        self.history.finish()
        result = self.result
        result.counts.update(self.history.counts)
        result.problems += self.history.problems
        for site in self.world.sites if result.problems else ():
            self._tell(f"{site.name}: {site.says()}")
        if not result.problems:
            wait_for("empty outboxes", lambda: not any(map(waiting, self.world.sites)), BACK_S)
        result.problems += [Problem("left", fault) for site in self.world.sites for fault in site.faults()]


def waiting(site: Site) -> int:
    """How many entries of a site no mark has covered."""
    with contextlib.closing(Connection(site.settings)) as connection:
        return sum(row["waiting"] for row in connection.request("sites")["sites"])


def run(
    seed: str,
    messages: int = MESSAGES,
    faults: int = FAULTS,
    pace_s: float = PACE_S,
    tell: Callable[[str], None] = lambda _line: None,
) -> Result:
    """So many messages and faults, these ``pace_s`` apart in the mean."""
    return Run(seed, messages, faults, pace_s, tell).run()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.deep.faults.sites", description="Three sites under fire.")
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--messages", type=int, default=MESSAGES, metavar="N")
    parser.add_argument("--faults", type=int, default=FAULTS, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the counts there (docs/reliability.json)")
    parser.add_argument("--pace", type=float, default=PACE_S, metavar="SECONDS", help="between faults, in the mean")
    options = parser.parse_args(argv)
    print(f"seed {options.seed}", flush=True)
    result = run(options.seed, options.messages, options.faults, options.pace, lambda line: print(line, flush=True))
    print(json.dumps(result.to_json(), indent=1))
    if options.json:
        report.keep(options.json, "sites", result.to_json())
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
