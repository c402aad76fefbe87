"""Kills and freezes nodes, bridges and brokers, and brings back in time what does not come back by itself."""

import contextlib
import os
import signal
import time
from collections.abc import Callable

from broker.home.process_table import process_started
from tests.conftest import wait_for
from tests.deep.faults.sites_plan import Fault
from tests.deep.faults.sites_world import BACK_S, BRIDGE, BROKER, STREAM, Site, World
from tests.processes import alive


class Process:
    """A process as it is now. Once it has died, whoever has its number is left alone."""

    def __init__(self, pid: int) -> None:
        self._pid, self._started = pid, process_started(pid)

    def signal(self, signum: int) -> None:
        if alive(self._pid) and process_started(self._pid) == self._started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signum)


Victim = int | tuple[str, str]
"""A node's number, or (site, child)."""


class Violence:
    """One fault after the other; what is away is hit again only once it is back."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._away: dict[Victim, tuple[float, Callable[[], None]]] = {}
        """When (monotonic) a victim comes back, and how."""

    def pass_time(self, seconds: float) -> None:
        """Bring back meanwhile whatever is due."""
        end_s = time.monotonic() + seconds
        while True:
            due = min(self._away.items(), key=lambda item: item[1][0], default=None)
            if due is None or due[1][0] > end_s:
                break
            time.sleep(max(0.0, due[1][0] - time.monotonic()))
            self._back(due[0])
        time.sleep(max(0.0, end_s - time.monotonic()))

    def do(self, fault: Fault) -> None:
        how, _, what = fault.kind.partition(" ")
        if what in ("bridge", "broker"):
            self._hit_child(how, self._world.sites[fault.victim], BRIDGE if what == "bridge" else BROKER, fault.away_s)
            return
        numbers = {"node": [fault.victim], "all nodes": [0, 1, 2]}.get(what) or [self._leader(fault.victim)]
        for number in numbers:
            self._hit_node(how, number, fault.away_s)

    def wipe_all(self, away_s: float) -> None:
        """All nodes die, their disks are emptied, and a person makes the streams anew."""
        self.mend()
        servers = self._world.servers
        servers.kill()
        servers.wipe()
        time.sleep(away_s)
        servers.start()
        servers.wait_ready()
        self._world.init()

    def mend(self, site: Site | None = None) -> None:
        """Bring back all that is away, of one site alone if one is given."""
        for victim in list(self._away):
            if site is None or (isinstance(victim, tuple) and victim[0] == site.name):
                self._back(victim)

    def _leader(self, other: int) -> int:
        """The node that leads the mail's stream; while there is none, another."""
        found = self._world.servers.leads_now(STREAM)
        return other if found is None else found

    def _hit_node(self, how: str, number: int, away_s: float) -> None:
        self._back(number)
        servers = self._world.servers
        if how == "kill":
            servers.kill(number)
            self._later(number, away_s, lambda: servers.start(number))
        else:
            servers.freeze(number)
            self._later(number, away_s, lambda: servers.thaw(number))

    def _hit_child(self, how: str, site: Site, child: str, away_s: float) -> None:
        """A killed one is started by its supervisor."""
        victim = (site.name, child)
        self._back(victim)
        pid = int(wait_for(f"the {child} of {site.name}", lambda: site.pid(child), BACK_S, site.describe))
        hit = Process(pid)
        if how == "kill":
            hit.signal(signal.SIGKILL)
        else:
            hit.signal(signal.SIGSTOP)
            self._later(victim, away_s, lambda: hit.signal(signal.SIGCONT))

    def _later(self, victim: Victim, away_s: float, back: Callable[[], None]) -> None:
        self._away[victim] = (time.monotonic() + away_s, back)

    def _back(self, victim: Victim) -> None:
        if victim in self._away:
            self._away.pop(victim)[1]()
