"""Kills with SIGKILL while closed agents are started again, at each step, and what the journal of their host says of it.

    .venv/bin/python -m tests.resume.kill_rig 300 [SEED]

A try is one message of the person and one kill: of the door, its starter, the host's process, a hook of it, or the broker; or a
terminal that opens the session meanwhile. What must hold after each:

    never are two processes of the session there at once, but for a terminal whose first hook is still to run
    a message has one start that is known (a hook of it has answered), and none after that, and TRIES at most
    the message is read, or its receipt says that it waits; the next one is read with it
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bridges import started_bodies
from bridges.resume import starts
from bridges.resume.starter import TRIES, done_for
from broker.home.process_table import lineage, words_of
from broker.protocol.errors import IpcError
from tests.conftest import Service, wait_for
from tests.resume.closed_agents import ClosedAgents

NAME = "web"
VICTIMS = ("door", "starter", "host", "hook", "broker", "terminal")
_SEEN_S = 6.0
"""Seconds to wait for a victim to be there."""
_DEADLINE_S = 60.0


class KillRig:
    """One closed agent, and the kills around it."""

    def __init__(self, home: Path, seed: int) -> None:
        self.draw = random.Random(seed)  # noqa: S311
        self.service = Service(home, IPC_WAKE_LIMIT="0", IPC_PAIR_WAKE_LIMIT="0")
        self.agents = ClosedAgents(self.service, f'names = ["{NAME}"]\nper_day = 1000').start()
        self.session = self.agents.closed(NAME).session
        self.outcomes: Counter[str] = Counter()
        self.kills = 0
        self.unread: list[str] = []

    def run(self, tries: int) -> None:
        """One kill for each message."""
        for number in range(tries):
            self.one(VICTIMS[number % len(VICTIMS)])
        self.end()

    def run_together(self, kills: int) -> None:
        """Several kills for each message, in any order, until there were so many. A terminal is in one of them."""
        while self.kills < kills:
            victims = [*VICTIMS[:5], *VICTIMS[1:4]]
            self.draw.shuffle(victims)
            self.one(*victims)
        self.one("terminal")
        self.end()

    def end(self) -> None:
        """What waited is read with the next message."""
        self.until_ready()
        last = self.write("the last")
        wait_for("the last one", lambda: self.is_read(last), _DEADLINE_S, explain=self.describe)
        wait_for("what waited", lambda: all(map(self.is_read, self.unread)), _DEADLINE_S, explain=self.describe)

    def one(self, *victims: str) -> None:
        """A message, and its kills."""
        self.until_ready()
        sent = self.write(f"for {victims[0]} [works {self.draw.choice((0, 0, 0.3))} s]")
        hit = [victim for victim in victims if (self.terminal() if victim == "terminal" else self.kill(victim, sent))]
        wait_for(f"what follows on {victims}", lambda: self.is_settled(sent), _DEADLINE_S, explain=self.describe)
        read = self.is_read(sent)
        self.kills += len(hit)
        self.outcomes[f"{', '.join(sorted(hit)) or 'no kill'}: {'read' if read else 'waits'}"] += 1
        if not read:
            self.unread.append(sent)
        self.check()

    def write(self, text: str) -> str:
        """Send until the broker says that it has the message."""
        message_id = f"m{self.draw.randrange(1 << 40)}"
        return str(wait_for("the broker", lambda: self.tried(lambda: self.agents.write(NAME, text, message_id=message_id))))

    def tried(self, ask: Callable[[], Any]) -> Any:
        with suppress(IpcError, OSError):
            return ask()
        return None

    def is_read(self, number: str) -> bool:
        row = self.tried(lambda: self.agents.receipt(number))
        return row is not None and row["step"] == "in_context"

    def is_settled(self, number: str) -> bool:
        """Nothing of it runs, and the message is read or there is no further start for it."""
        body = started_bodies.of_session(str(self.service.home), self.session)
        if started_bodies.lives(str(self.service.home), body) or self.agents.why(NAME) != "" or not self.service.pid("resume"):
            return False
        tried = [start for start in starts.read(str(self.service.home)) if start.newest == int(number)]
        return self.is_read(number) or done_for(body) >= int(number) or len(tried) >= TRIES

    def until_ready(self) -> None:
        wait_for(
            "that it may be started",
            lambda: self.service.pid("resume") and self.service.pid("broker") and self.agents.why(NAME) == "",
            _DEADLINE_S,
            explain=self.describe,
        )

    # the kills

    def kill(self, victim: str, sent: str) -> bool:
        """False where the victim did not show up before all was over."""
        find: Callable[[], int] = {
            "door": lambda: self.service.pid("resume"),
            "broker": lambda: self.service.pid("broker"),
            "starter": lambda: self.child_of_door(b"bridges.resume.starter"),
            "host": self.host,
            "hook": lambda: self.child_of_host(),
        }[victim]
        if victim in ("door", "broker"):
            time.sleep(self.draw.uniform(0, 1.2))
        end_s = time.monotonic() + _SEEN_S
        while not (pid := find()):
            if time.monotonic() > end_s or self.is_settled(sent):
                return False
        time.sleep(self.draw.uniform(0, {"starter": 0.15, "host": 0.8, "hook": 0.12}.get(victim, 0)))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return True

    def terminal(self) -> bool:
        """Open the session in a terminal at some moment, and close it after a turn."""
        time.sleep(self.draw.uniform(0, 1.2))
        terminal = self.agents.terminal(NAME)
        terminal.say("hello")
        terminal.close()
        return True

    def host(self) -> int:
        body = started_bodies.of_session(str(self.service.home), self.session)
        return body.pid if body is not None and body.runs() and b"scripted_host" in b" ".join(words_of(body.pid)) else 0

    def child_of_door(self, word: bytes) -> int:
        door = self.service.pid("resume")
        return next((pid for pid in processes() if door and word in words_of(pid) and door in lineage(pid)), 0)

    def child_of_host(self) -> int:
        host = self.host()
        return next((pid for pid in processes() if host and b"hook" in words_of(pid) and host in lineage(pid)), 0)

    # what must hold

    def check(self) -> None:
        journal = self.agents.journal("pid")
        saw: dict[int, float] = {}
        for row in journal:
            if "saw" in row:
                saw.setdefault(row["pid"], float(row["at"]))
        terminals = {row["pid"] for row in journal if "run" in row and not row["body"]}
        for row in journal:
            if "double" in row and row["body"]:
                near = [pid for pid in terminals if saw.get(pid, 0) > row["at"]]
                assert near, (row, self.describe())
        starts: dict[str, list[int]] = defaultdict(list)
        for row in journal:
            if "run" in row and row["body"]:
                prompt = row["words"][row["words"].index("-p") + 1]
                starts[prompt.partition("#")[2].partition(" ")[0]].append(row["pid"])
        for number, pids in starts.items():
            known = [pid for pid in pids if pid in saw]
            once = len(pids) <= TRIES and len(known) <= 1 and pids[-1:] == (known or pids[-1:])
            assert once, (number, pids, known, self.describe())

    def describe(self) -> str:
        journal = self.service.home / "journal"
        body = started_bodies.of_session(str(self.service.home), self.session)
        record = {} if body is None else {name: getattr(body, name) for name in body.__slots__}
        return f"{self.service.describe()}\n--- journal\n{journal.read_text()[-4000:]}\n--- body\n{record}\n{self.outcomes}"

    def close(self) -> None:
        self.service.stop()
        body = started_bodies.of_session(str(self.service.home), self.session)
        if body is not None and body.runs():
            os.kill(body.pid, signal.SIGKILL)


def processes() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]


def main(tries: int, seed: int) -> int:
    home = Path(tempfile.mkdtemp(prefix="ipc-"))
    rig = KillRig(home, seed)
    began_s = time.monotonic()
    try:
        rig.run(tries)
    finally:
        rig.close()
        shutil.rmtree(home, ignore_errors=True)
    for outcome, count in sorted(rig.outcomes.items()):
        print(f"{count:5}  {outcome}")
    print(f"{tries} tries in {time.monotonic() - began_s:.0f} s, seed {seed}: none doubled, none lost")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1))
