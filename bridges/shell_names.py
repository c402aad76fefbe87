"""Which name a shell has: its terminal's, or the data folder's default name where there is no terminal.

    sessions/cli-NAME.json       a session that a shell registered: what ``--as`` and ``$IPC_NAME`` look up
    sessions/terminal-KEY.json   the same, of the terminal that has it; KEY is the terminal's session leader and its start
    sessions/cli-current         the default name, for shells without a terminal: cron, CI, setsid
    sessions/cli-inherited       no terminal takes the default name for its own any more

Until 0.3 ``cli-current`` was the name of all shells. The first terminal that is used after the upgrade inherits it. ``was`` in
a file holds earlier names of its mailbox, which go on naming it. Commands and the git guard import this module.
"""

from __future__ import annotations

import os
import time

from bridges import agents_shell, saved_sessions
from broker.home import process_table
from broker.protocol.names import is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TERMINAL = "terminal-"
_UNSEEN_S = 30 * 86_400
"""A terminal of another pid namespace can't be seen. Its file goes when it has not changed for so long."""


class Kept:
    """A session that a shell registered, and the file that keeps it."""

    __slots__ = ("name", "path", "token", "was")

    def __init__(self, path: str, name: str, token: str, was: list[str]) -> None:
        self.path = path
        self.name = name
        self.token = token
        self.was = was

    def means(self, name: str) -> bool:
        return name == self.name or name in self.was


class Terminal:
    """A controlling terminal: its session leader, that process's start, and the device for people to know it by."""

    __slots__ = ("device", "pid", "started")

    def __init__(self, pid: int, started: str, device: str) -> None:
        self.pid = pid
        self.started = started
        self.device = device

    @property
    def key(self) -> str:
        return f"{self.pid}@{self.started}"

    def body(self) -> dict[str, Any]:
        """Who acts for a name, as ``register`` takes it."""
        return {"kind": "terminal", "key": self.key, "pid": self.pid, "started": self.started, "where": self.device}

    def path(self, home: str) -> str:
        return os.path.join(saved_sessions.folder(home), f"{_TERMINAL}{self.key}.json")


def terminal() -> Terminal | None:
    """This process's controlling terminal; None without one, and in what a host started: it may make one for each command."""
    device = "" if agents_shell.inside_host() else _device()
    if not device:
        return None
    leader = os.getsid(0)
    started = process_table.process_started(leader) if leader else ""
    return Terminal(leader, started, device) if started else None


def _device() -> str:
    """The controlling terminal, such as ``pts/3``; empty without one."""
    _name, fields = process_table.stat(os.getpid())
    if fields:
        number = int(fields[4])
        major, minor = number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00
        if not number:
            return ""
        return f"pts/{(major - 136 << 8) + minor}" if 136 <= major <= 143 else f"tty{minor}"
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return ""
    return "tty"


def kept_at(path: str) -> Kept | None:
    stored = saved_sessions.read_json(path)
    name, token, was = stored.get("name"), stored.get("token"), stored.get("was")
    if not isinstance(name, str) or not isinstance(token, str) or not is_name(name):
        return None
    return Kept(path, name, token, was if isinstance(was, list) else [])


def of_terminal(home: str, at: Terminal) -> Kept | None:
    """The session of a terminal. The first terminal after an upgrade inherits the default name."""
    return kept_at(at.path(home)) or _inherited(home, at)


def _inherited(home: str, at: Terminal) -> Kept | None:
    default = kept_at(saved_sessions.shell_path(home, name)) if (name := saved_sessions.default_name(home)) else None
    if default is None or not _end_inheritance(home):
        return None
    saved_sessions.write_json(at.path(home), saved_sessions.read_json(default.path))
    return kept_at(at.path(home))


def _end_inheritance(home: str) -> bool:
    """True if no other process did this before."""
    try:
        mark = os.path.join(saved_sessions.folder(home), "cli-inherited")
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True


def of_name(home: str, name: str) -> Kept | None:
    """The session that a shell registered under this name, or that had the name before a rename."""
    found = kept_at(saved_sessions.shell_path(home, name))
    if found is not None:
        return found
    ours, folder = saved_sessions.prefix("cli"), saved_sessions.folder(home)
    entries = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    kept = (kept_at(os.path.join(folder, e)) for e in entries if e.startswith(ours) and e.endswith(".json"))
    return next((found for found in kept if found is not None and found.means(name)), None)


def of_shell(home: str, asked: str | None) -> Kept | None:
    """The session of a shell that is no agent's, which acts by the name that it was asked for, or by its own."""
    key = saved_sessions.key()
    at = None if key is not None else terminal()
    own = None if at is None else kept_at(at.path(home)) if asked else of_terminal(home, at)
    name = asked or (key.name if key is not None else "" if at is not None else saved_sessions.default_name(home))
    if own is not None and (not name or own.means(name)):
        return own
    return of_name(home, name) if name else None


def keep(home: str, name: str, token: str, at: Terminal | None) -> None:
    """Keep a session that this shell registered. It is the terminal's from now on, or the default one without a terminal.

    The first name of a data folder is the default one, too, and stays with the terminal that chose it.
    """
    session: dict[str, Any] = {"name": name, "token": token}
    saved_sessions.write_json(saved_sessions.shell_path(home, name), session if at is None else {**session, "terminal": at.key})
    if saved_sessions.key() is not None:
        return
    default = saved_sessions.default_name(home)
    before = kept_at(at.path(home)) if at is not None else None
    if at is not None:
        saved_sessions.write_json(at.path(home), session)
        sweep(home, time.time())
    if at is None or not default or (before is not None and before.name == default):
        saved_sessions.set_default_name(home, name)
        _end_inheritance(home)


def forget(home: str, token: str) -> None:
    """Remove what keeps a session that was given up."""
    for entry in os.listdir(saved_sessions.folder(home)):
        path = os.path.join(saved_sessions.folder(home), entry)
        if entry.startswith((saved_sessions.prefix("cli"), _TERMINAL)) and saved_sessions.read_json(path).get("token") == token:
            os.unlink(path)


def sweep(home: str, now_s: float) -> None:
    """Remove the files of terminals that are gone."""
    from contextlib import suppress

    for entry in os.listdir(saved_sessions.folder(home)):
        if not entry.startswith(_TERMINAL):
            continue
        path = os.path.join(saved_sessions.folder(home), entry)
        leader, _, started = entry.removeprefix(_TERMINAL).removesuffix(".json").partition("@")
        lives = leader.isdecimal() and process_table.is_alive(int(leader), started)
        if lives is False or (lives is None and os.stat(path).st_mtime < now_s - _UNSEEN_S):
            with suppress(FileNotFoundError):
                os.unlink(path)
