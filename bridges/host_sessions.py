"""Which instance a host's session is: ``sessions/host-SESSION.json``, written at the session's start by its hook.

A hook lives for one event. The file tells name and token to the next hook, to the host's MCP door, to the monitor and to the
git guard. SESSION is the host's own id. Where the host begins a new session in the same process (Claude Code's /clear), the
old file points to the new one. What changes at every turn is in another file (bridges.host_turns).
"""

from __future__ import annotations

import os

from bridges import saved_sessions
from bridges.fence import BUDGET_CHARS
from broker.home.environment import HOST_PROCESSES, HOST_PROGRAMS
from broker.home.process_table import is_alive, parent_of, stat
from broker.home.process_table import process_started as process_started

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

STOP_HOLDS = 3
LOOK_S = 8.0
_KEPT_S = 30 * 86_400
_FIRST = (*HOST_PROGRAMS, "node", "MainThread", "bun", "python", "python3")
"""Names of a host's process where it is the first of its container."""
_NAME_CHARS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


class Binding:
    """One session of a host. ``pid`` and ``started`` identify the host's process; ``reach`` names the ways of its mail."""

    __slots__ = (
        "channel",
        "chars",
        "ended",
        "holds",
        "host",
        "look_s",
        "mode",
        "modes",
        "name",
        "path",
        "pid",
        "project",
        "reach",
        "session",
        "started",
        "token",
        "wake",
    )

    def __init__(
        self,
        *,
        host: str,
        session: str,
        name: str,
        token: str,
        project: str,
        pid: int = 0,
        started: str = "",
        ended: bool = False,
        holds: int = STOP_HOLDS,
        chars: int = BUDGET_CHARS,
        look_s: float = LOOK_S,
        channel: bool = False,
        wake: bool = False,
        reach: list[str] | None = None,
        mode: str = "",
        modes: list[str] | None = None,
        path: str = "",
    ) -> None:
        self.host = host
        self.session = session
        self.name = name
        self.token = token
        self.project = project
        self.pid = pid
        self.started = started
        self.ended = ended
        self.holds = holds
        """How many times in a row a finished agent is held for urgent mail."""
        self.chars = chars
        """How many characters of mail the hooks of one turn add to the model's context."""
        self.look_s = look_s
        """Seconds that a notice has to begin a turn, or to have the mail read, before the next way is tried."""
        self.channel = channel
        """The host was started so that it takes channel notifications. Only its user knows that."""
        self.wake = wake
        """A process of ours, which the hook of the start left behind, wakes the session when it is idle."""
        self.reach = reach or []
        self.mode = mode
        """The permission mode in which it began, as its hooks told it first; empty if they tell none."""
        self.modes = modes or []
        """All that they told since it was begun anew for the first time, the last told at the end."""
        self.path = path
        """PATH, by which its host's program is found again."""

    def tell_mode(self, mode: str) -> bool:
        """A hook tells the mode that the session is in. True if that is worth keeping."""
        if not mode or (self.mode and self.modes[-1:] == [mode]):
            return False
        self.mode = self.mode or mode
        self.modes = [*(m for m in self.modes if m != mode), mode]
        return True

    def live(self) -> bool:
        """True while the host's process runs the session. A process of another pid namespace is not seen."""
        return not self.ended and self.pid > 0 and self.runs_in(self.pid, process_started(self.pid))

    def runs_in(self, pid: int, started: str) -> bool:
        """True if this session's host is that process. A binding of 0.3.0 does not name the pid namespace."""
        return self.pid == pid and self.started in (started, started.partition("@")[0])

    def elsewhere(self) -> bool:
        """True if the host runs in another pid namespace of this machine. Its process id means nothing here."""
        return not self.ended and self.pid > 0 and self.started != "" and is_alive(self.pid, self.started) is None

    def body(self) -> dict[str, Any]:
        """Who acts for the name, as ``register`` takes it."""
        return body_of(self.host, self.session, self.pid, self.started, self.project)


def body_of(host: str, session: str, pid: int, started: str, project: str) -> dict[str, Any]:
    """A host's session as the body of a name. ``pid`` is 0 where the host's process is unknown."""
    process = {"pid": pid, "started": started} if pid and started else {}
    return {"kind": "session", "key": f"{host}:{_safe(session)}", "host": host, "where": _shown(project), **process}


def process_body(pid: int, started: str, project: str, host: str = "") -> dict[str, Any]:
    """A program as the body of a name. ``host``: what it says that it is."""
    body = {"kind": "process", "key": f"{pid}@{started}", "pid": pid, "started": started, "where": _shown(project)}
    return {**body, "host": host} if host else body


def _shown(folder: str) -> str:
    """A folder as the broker takes it: one line of at most 300 characters."""
    return "".join(c if c.isprintable() else "?" for c in folder)[-300:]


def path_of(home: str, session: str) -> str:
    return os.path.join(saved_sessions.folder(home), f"{saved_sessions.prefix('host')}{_safe(session)}.json")


def _safe(session: str) -> str:
    if 0 < len(session) <= 64 and _NAME_CHARS.issuperset(session):
        return session
    import hashlib

    return hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def load(home: str, session: str) -> Binding | None:
    """The session's binding, or that of the session that took its place in the same process."""
    for _ in range(100):  # a chain of /clear; an edited file could make a ring
        stored = saved_sessions.read_json(path_of(home, session))
        following = stored.pop("next", None)
        if not isinstance(following, str):
            return _binding(stored)
        session = following
    return None


def told_modes(home: str, session: str, process: tuple[int, str]) -> tuple[str, list[str]]:
    """(the permission mode in which the session began in this process, all that it was ever known to be in), by its own file.

    What took its place in another process tells nothing of it. A session whose file was swept is in a list if it must be.
    """
    stored = saved_sessions.read_json(path_of(home, session))
    modes = stored.get("modes") or saved_sessions.read_json(_wild_path(home)).get(_safe(session)) or []
    same = stored.get("pid") == process[0] and stored.get("started") in (process[1], process[1].partition("@")[0])
    return str(stored.get("mode") or "") if same else "", [str(mode) for mode in modes]


def _wild_path(home: str) -> str:
    """A list of swept sessions and the permission modes for which mail must never start them again."""
    return os.path.join(saved_sessions.folder(home), "never-started.json")


def _forget(home: str, path: str) -> bool:
    """Whether the file of a session may go: a mode that nobody knows to be safe is kept in the list."""
    stored = saved_sessions.read_json(path)
    if not stored.get("modes"):
        return True
    from bridges.known_hosts import catalogue

    host = str(stored.get("host"))
    known = (catalogue.about(host).resume if host in catalogue.names() else {}).get("modes", [])
    wild = [mode for mode in stored["modes"] if mode not in known]
    listed = saved_sessions.read_json(_wild_path(home))
    return not wild or saved_sessions.keep_json(_wild_path(home), {**listed, _safe(str(stored.get("session"))): wild})


def is_plain(session: str) -> bool:
    """True for a session id that may be a word of a command: no host makes others, and one may be taken for an option."""
    return 0 < len(session) <= 128 and _NAME_CHARS.issuperset(session) and session[0] not in "-_"


def _binding(stored: dict[str, Any]) -> Binding | None:
    try:
        return Binding(**stored)
    except TypeError:  # empty, or of another version
        return None


def save(home: str, binding: Binding) -> None:
    saved_sessions.keep_json(path_of(home, binding.session), {k: getattr(binding, k) for k in Binding.__slots__})
    process = f"{saved_sessions.process_path(home)}{binding.pid}.json"
    if binding.pid and saved_sessions.read_json(process).get("started") != binding.started:
        saved_sessions.keep_json(process, {"started": binding.started})


def redirect(home: str, old: Binding, new: Binding) -> None:
    """The old session's file now leads to the new one's."""
    stored = {k: getattr(old, k) for k in Binding.__slots__}
    saved_sessions.keep_json(path_of(home, old.session), {**stored, "next": new.session})


def lost(home: str) -> list[dict[str, Any]]:
    """Requests that report each session whose host was killed as gone, once. Whoever lists the instances makes them."""
    bound = list(all_of(home))
    alive = {b.token for b in bound if b.live() or b.elsewhere()}
    found = [b for b in bound if not b.ended and b.pid and not b.live() and not b.elsewhere()]
    for binding in found:
        binding.ended = True
        save(home, binding)
    killed = [b.token for b in found if b.token not in alive]
    return [gone(token) for token in dict.fromkeys(killed)]


def gone(token: str) -> dict[str, Any]:
    """The request that reports a session whose host is gone."""
    return {"action": "presence", "session_token": token, "state": "gone", "reach": []}


def rebind(home: str, session: str, name: str, token: str) -> None:
    """Let the hooks follow an agent that took another name or session through its tools."""
    binding = load(home, session)
    if binding is not None and (binding.name, binding.token) != (name, token):
        binding.name, binding.token = name, token
        save(home, binding)


def running_in(home: str, pid: int, started: str) -> list[Binding]:
    """The sessions that a host's process runs: one, or all of a user's in the daemon of Codex CLI."""
    return [b for b in all_of(home) if b.runs_in(pid, started) and not b.ended]


def of_process(home: str, pid: int, project: str) -> Binding | None:
    """The session that a host's process runs in the folder. For callers that know no session id.

    None if several fit: Codex CLI's daemon runs all sessions of a user.
    """
    found = running_in(home, pid, process_started(pid))
    mine = found if len(found) == 1 else [b for b in found if b.project == project]
    return mine[0] if len(mine) == 1 else None


def follows(old: Binding, session: str, process: tuple[int, str], shares: bool) -> bool:
    """True if the session took the old one's place in its process, as after Claude Code's /clear.

    ``shares``: sessions of the host may share a process, so the old session must have said that it ended.
    """
    same = old.session != session and old.runs_in(*process)
    return same and (not shares or old.ended)


def all_of(home: str) -> Iterator[Binding]:
    """The bindings of all sessions but those that lead to another one."""
    try:
        entries = os.listdir(saved_sessions.folder(home))
    except OSError:
        return
    ours = saved_sessions.prefix("host")
    for entry in entries:
        if entry.startswith(ours) and entry.endswith(".json"):
            stored = saved_sessions.read_json(os.path.join(saved_sessions.folder(home), entry))
            binding = None if "next" in stored else _binding(stored)
            if binding is not None:
                yield binding


def sweep(home: str, now_s: float) -> None:
    """Remove the files of sessions that were not touched for 30 days, and of processes that have ended."""
    ours, process = saved_sessions.prefix("host"), saved_sessions.prefix("process")
    for entry in os.listdir(saved_sessions.folder(home)):
        path = os.path.join(saved_sessions.folder(home), entry)
        if entry.startswith(process):
            pid = entry.removeprefix(process).removesuffix(".json")
            over = is_alive(int(pid), str(saved_sessions.read_json(path).get("started"))) is False
        else:
            over = entry.startswith(ours) and os.stat(path).st_mtime < now_s - _KEPT_S and _forget(home, path)
        if over:
            os.unlink(path)


# the host's process


def host_process() -> tuple[int, str]:
    """(process id, start) of the host: what the environment says, else the nearest ancestor that is no shell."""
    for said in map(os.environ.get, HOST_PROCESSES):
        if said and said.isdecimal() and process_started(int(said)):
            return int(said), process_started(int(said))
    pid = above_shells(os.getpid())
    return pid, process_started(pid)


def above_shells(pid: int) -> int:
    """The nearest ancestor of a process that is no shell; 0 if unknown."""
    pid = os.getppid() if pid == os.getpid() else parent_of(pid)
    for _ in range(4):
        if not (parent := _shell_parent(pid)):
            break
        pid = parent
    return 0 if pid == 1 and stat(1)[0] not in _FIRST else pid  # who has lost its parent is given that one


def _shell_parent(pid: int) -> int:
    """The parent of a shell's process; 0 for any other process, and without /proc."""
    name, fields = stat(pid)
    return int(fields[1]) if name in ("sh", "bash", "dash", "zsh", "fish", "ksh", "env") else 0
