"""The name of a host's session: stable over restarts, resume and compaction, and never another's.

The first free one of: the name that the user gave (``--name``, ``$IPC_NAME``, config.toml), a name that this session or this
folder had before, the project folder's name, that name with the git branch or the host's name, that name with a number.
"""

from __future__ import annotations

import os

from bridges import host_sessions, saved_sessions
from bridges.folder_names import clean, variants
from broker.home.process_table import is_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def choose(
    home: str,
    project: str,
    *,
    host: str,
    shares: bool,
    wanted: str | None,
    session: str,
    process: tuple[int, str],
    registered: dict[str, bool],
) -> Iterator[tuple[str, str]]:
    """(name, token of a session that had the name, or an empty token) to try, best first.

    ``shares``: sessions of the host may share a process. ``registered`` holds the names that the broker knows, True for those
    that are present.
    """
    others = [
        b for b in host_sessions.all_of(home) if b.session != session and not host_sessions.follows(b, session, process, shares)
    ]
    live = [b for b in others if b.live() or (b.elsewhere() and registered.get(b.name))]
    busy = {b.name for b in live}
    ours = {name: stored for name, stored in _ours(home, project, host, session, process, shares).items() if name not in busy}
    tails = [clean(git_branch(project) or host), host]
    if any(b.project == project for b in live):
        tails.reverse()  # a branch tells folders apart, not sessions of one folder
    names = [name for name, stored in ours.items() if wanted in (None, name) or wanted in stored.get("was", ())]
    names += variants(wanted or clean(os.path.basename(project)), tails)
    for name in dict.fromkeys(names):
        if name in ours:
            yield name, str(ours[name].get("token"))
        elif name not in busy and (name == wanted or name not in registered):
            yield name, ""


def _ours(
    home: str, project: str, host: str, session: str, process: tuple[int, str], shares: bool
) -> dict[str, dict[str, Any]]:
    """What is kept of names that this session or its folder had, by name, best first.

    First the session's own, then that of the session before it in the same process, then those of the folder.
    """
    before = host_sessions.load(home, session)
    bound = [before] if before is not None else []
    if not shares:
        bound += [b for b in host_sessions.all_of(home) if host_sessions.follows(b, session, process, shares)]
    found = {b.name: {"token": b.token, **saved_sessions.find(home, b.project, b.name)} for b in bound}
    folders = {name: saved_sessions.read_json(path) for name, path in saved_sessions.of_project(home, project, host)}
    return found | {name: s for name, s in folders.items() if name not in found and not _beside(s, process)}


def _beside(stored: dict[str, Any], process: tuple[int, str]) -> bool:
    """Whether a running program has the name, such as the tools of a host without hooks; not one under this session's host."""
    pid, _, started = str(stored.get("body", "")).partition("@")
    lives = pid.isdigit() and is_alive(int(pid), started) is True
    return lives and host_sessions.above_shells(int(pid)) != process[0]


def git_branch(project: str) -> str:
    """The branch checked out in the folder, from git's own files; empty if there is none."""
    place = project
    while True:
        head = _head_of(os.path.join(place, ".git"))
        if head is not None:
            break
        parent = os.path.dirname(place)
        if parent == place:
            return ""
        place = parent
    prefix = "ref: refs/heads/"
    return head[len(prefix) :] if head.startswith(prefix) else ""


def _head_of(git: str) -> str | None:
    """The text of HEAD; None if there is none. A worktree's .git is a file that names its folder."""
    try:
        if os.path.isfile(git):
            with open(git, encoding="utf-8", errors="replace") as f:
                git = os.path.join(os.path.dirname(git), f.read().strip().removeprefix("gitdir: "))
        with open(os.path.join(git, "HEAD"), encoding="utf-8", errors="replace") as f:
            return f.read().strip()
    except OSError:
        return None
