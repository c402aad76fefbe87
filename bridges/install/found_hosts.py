"""Which agents' hosts this machine has: their program is on PATH, or their configuration folder is there."""

import os
import shutil
from dataclasses import dataclass

from bridges.known_hosts.catalogue import about, names
from bridges.known_hosts.host_facts import RUN, HostFacts


@dataclass(frozen=True, slots=True)
class FoundHost:
    """A host of this machine. ``seen`` says by what: the program's path, or the folder."""

    name: str
    facts: HostFacts
    seen: str

    @property
    def written(self) -> bool:
        """Whether ``ipc install`` writes for it. It does not where our tests never ran the host's program."""
        return self.facts.evidence == RUN


def found_hosts() -> list[FoundHost]:
    """Those that are written for come first."""
    hosts = [FoundHost(name, facts, seen) for name in names() if (seen := _seen(facts := about(name)))]
    return sorted(hosts, key=lambda host: (not host.written, host.name))


def _seen(facts: HostFacts) -> str:
    program, folder = shutil.which(facts.program), facts.config_folder()
    return program or (f"{folder} is there" if folder and os.path.isdir(folder) else "")
