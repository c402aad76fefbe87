"""Whether a closed agent may be started again, by which command, or why not. Reads files; starts nothing."""

import os
import shutil
from datetime import datetime
from typing import NamedTuple

from bridges import host_sessions
from bridges.host_sessions import Binding
from bridges.known_hosts import catalogue
from bridges.known_hosts.host_facts import HostFacts
from bridges.resume.resume_settings import ResumeSettings
from bridges.resume.starts import DAY_S, Start

PROMPT = (
    "agent-ipc: mail #{newest} came while this session was closed, and has started it again, without a terminal, for at most "
    "{minutes} minutes. Your user is not here to allow anything. If the mail is not shown here, call check. Do what it needs, "
    "answer its sender, and end your turn."
)


class NotReadyError(Exception):
    """Why an agent is not started again; the argument is for people."""


class PutOffError(NotReadyError):
    """Why it is not started for now."""


class Closed(NamedTuple):
    """A closed session that may be started again."""

    binding: Binding
    facts: HostFacts
    mode: str

    def command(self, newest: str, wanted: ResumeSettings) -> list[str]:
        """The host's program and its words."""
        how = self.facts.resume
        minutes, turns, dollars = str(wanted.minutes), str(wanted.turns), f"{wanted.dollars:g}"
        prompt = PROMPT.format(newest=newest, minutes=minutes)
        mode = how.get("words", {}).get(self.mode, self.mode)
        given = {"session": self.binding.session, "mode": mode, "turns": turns, "dollars": dollars, "prompt": prompt}
        left_out = {name for name, limit in (("turns", wanted.turns), ("dollars", wanted.dollars)) if not limit}
        words: list[str] = []
        for word in how["command"]:
            name = word.strip("{}")
            words += [] if name in left_out else how[name] if name in how and word.startswith("{") else [word]
        return [self.facts.program, *(_filled(word, given) for word in words)]


def _filled(word: str, given: dict[str, str]) -> str:
    return given.get(word[1:-1], word) if word.startswith("{") and word.endswith("}") else word


def closed_session(home: str, name: str) -> Closed:
    """The session by which the agent was last seen. Raises NotReadyError."""
    bound = [b for b in host_sessions.all_of(home) if b.name == name]
    unseen = not os.path.isdir("/proc/self")  # else a process that no hook could name has gone
    if any(b.live() or b.elsewhere() or (unseen and not b.ended and not b.pid) for b in bound):
        raise NotReadyError("it runs")
    if not bound:
        raise NotReadyError("no session of a host is known under this name")
    binding = max(bound, key=lambda b: _touched_s(host_sessions.path_of(home, b.session)))
    facts = catalogue.about(binding.host) if binding.host in catalogue.names() else None
    if facts is None or not facts.resume:
        raise NotReadyError(f"{facts.title if facts else binding.host} can't go on with a session without a terminal")
    if not host_sessions.is_plain(binding.session):
        raise NotReadyError("the id of its session is none that a host gives: it may be taken for an option of the command")
    if not os.path.isdir(binding.project):
        raise NotReadyError("its folder is gone")
    if shutil.which(facts.program, path=binding.path or None) is None:
        raise NotReadyError(f"{facts.program} is not on the PATH that it had")
    return Closed(binding, facts, mode_of(binding, facts))


def _touched_s(path: str) -> float:
    """When the file was written last; 0 if it was swept meanwhile."""
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def mode_of(binding: Binding, facts: HostFacts) -> str:
    """The permission mode for the body: the one in which the session began, or the last one where that allows less."""
    known: list[str] = facts.resume["modes"]
    told = [mode for mode in (binding.mode, *binding.modes) if mode]
    if not told:
        raise NotReadyError("its permission mode is not known: it told none, or began before this version")
    if wild := next((mode for mode in told if mode not in known), None):
        raise NotReadyError(f"its session was in the permission mode {wild}, and such a one is never started again")
    return min((binding.mode or told[-1], told[-1]), key=known.index)


def check_hours(wanted: ResumeSettings, name: str, starts: list[Start], now: datetime) -> None:
    """Raise NotReadyError in quiet hours, and where the agent was started often enough."""
    if until := wanted.quiet_until(now):
        raise PutOffError(f"quiet hours until {until}")
    recent = [start.at_s for start in starts if start.name == name and start.at_s > now.timestamp() - DAY_S]
    if len(recent) >= wanted.per_day:
        again = datetime.fromtimestamp(min(recent) + DAY_S)
        raise PutOffError(f"it was started {len(recent)} times in 24 hours, as often as it may; again at {_moment(again, now)}")


def _moment(at: datetime, now: datetime) -> str:
    """The time of day, with the date where it is not today."""
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"
