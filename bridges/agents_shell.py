"""Whose shell this is, where an agent's host runs it as a tool: the shell of an agent is that agent.

The host's environment names the session. Where it does not, or names one further up (a host that was started in the shell of
another one), the nearest host among our ancestors counts. Commands and the git guard import this module.
"""

from __future__ import annotations

import os

from bridges import saved_sessions
from bridges.known_hosts.catalogue import title
from broker.home import environment
from broker.home.process_table import environment_of, lineage, process_started

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bridges.host_sessions import Binding


class ShellNotRegistered(Exception):
    """The shell has no session, or not the wanted one. ``step`` is what to type next."""

    def __init__(self, text: str, step: str = "ipc register NAME") -> None:
        super().__init__(text)
        self.step = step


class SharedProcess(ShellNotRegistered):
    """One process of a host runs several sessions, and nothing says which of them has started this shell."""

    def __init__(self, running: list[Binding]) -> None:
        self.running = running
        host = title(running[0].host)
        names = ", ".join(sorted(b.name for b in running))
        text = f"{host} runs {len(running)} sessions in one process ({names}), and nothing tells whose shell this is"
        super().__init__(text, "ipc COMMAND --as NAME")


def inside_host() -> bool:
    """True in what an agent's host has started, whether or not the host's sessions are known here."""
    return any(os.environ.get(name) for name in environment.HOST_MARKS)


def own_session(home: str) -> Binding | None:
    """The session of the agent whose shell this is; None in any other shell. Raises SharedProcess."""
    ids = [session for variable in environment.HOST_SESSIONS.values() if (session := os.environ.get(variable))]
    before = saved_sessions.process_path(home)
    hosts = [pid for pid in lineage(os.getppid()) if os.path.exists(f"{before}{pid}.json")]
    if not ids and not hosts:
        return None
    from bridges import host_sessions

    named = [b for session in ids if (b := host_sessions.load(home, session))]
    for pid in hosts:
        started = process_started(pid)
        known = next((b for b in named if b.runs_in(pid, started)), None)
        if known is not None:
            return known
        running = host_sessions.running_in(home, pid, started)
        if len(running) > 1:
            raise SharedProcess(running)
        if running:
            return running[0]
    return named[0] if named else None


def came_with_host(agent: Binding, name: str) -> bool:
    """True if the host was started with this ``$IPC_NAME``. That was a wish, and the session's own name is what came of it."""
    try:
        return environment_of(agent.pid).get(environment.NAME) == name
    except OSError:
        return True
