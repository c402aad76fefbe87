"""Mail that a session's model was given, and is not known to have: ``sessions/host-SESSION.shown``.

    given by a tool or a hook --> kept here, on lease --evidence--> acknowledged
                                        |
                                        +-- the host gave up or ended --> released: it comes again, "perhaps seen"

Hooks and the MCP door of one session both write here. What is evidence that the model has the mail:

- of a hook's answer, the session's next event;
- of a tool's result, the next event after that tool's own PostToolUse, which runs before the model is asked again; where that
  did not come, the end of the turn or the next prompt, unless the result came so late that the host may have given it up.

A start that is not a compaction, and the session's end, show that a turn was broken off: what is here then comes again. What
has no evidence for an hour comes again, too. A message that is shown a second time is taken for read by what would not be
evidence for the first, so it comes at most twice.

One file, locked while it is read and written. It is written in place: a writer that is killed leaves no JSON, and then the
mail comes back by itself when its lease ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import time

from bridges import host_sessions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

HELD_S = 600
"""How long a lease of shown mail is: a model may think for minutes before its next event, and mail that nobody will ever
prove, since its host was killed, is with nobody for so long."""
_KEPT_S = 3600.0
_GIVERS = ("check", "ask", "say")
"""Tools whose results hold mail."""


def gives_mail(tool: str) -> bool:
    """True for a host's name of one of our tools that give mail, such as ``mcp__plugin_agent-ipc_ipc__check``."""
    server, _, name = tool.rpartition("_")
    server = server.rstrip("_")
    return name in _GIVERS and (server == "ipc" or server.endswith("_ipc"))


def add(
    home: str, session: str, ids: list[str], *, by: str, late: bool = False, again: Iterable[str] = (), key: str = ""
) -> None:
    """Keep what was given ``by`` a ``tool`` or a ``hook``. ``late``: the host may have given the request up; ``again``: the
    ids that were shown before; ``key``: the request's."""
    entry = {"ids": ids, "by": by, "late": late, "again": list(again), "key": key, "ran": False, "at_s": time.time()}
    with _Record(home, session) as record:
        record.entries.append(entry)


def held(home: str, session: str) -> set[str]:
    """The ids that are kept: such mail, back by the end of a lease, is not new to the model."""
    if not os.path.exists(_path(home, session)):
        return set()
    with _Record(home, session) as record:
        return {i for entry in record.entries for i in entry["ids"]}


def drop(home: str, session: str, key: str | None = None) -> list[str]:
    """Take out what the request gave, or everything; the ids, to be released."""
    if not os.path.exists(_path(home, session)):
        return []
    with _Record(home, session) as record:
        gone = [e for e in record.entries if key is None or e["key"] == key]
        record.entries = [e for e in record.entries if e not in gone]
    return [i for entry in gone for i in entry["ids"]]


def settle(home: str, session: str, moment: str, tool: str) -> tuple[list[str], list[str]]:
    """Take out what an event of the session settles: (ids that the model has, ids that it may not have).

    ``moment`` is what bridges.hosts calls the event; ``tool`` the tool's name where it is about one.
    """
    proven: list[str] = []
    lost: list[str] = []
    if not os.path.exists(_path(home, session)):
        return proven, lost
    with _Record(home, session) as record:
        kept = []
        for entry in record.entries:
            state = _judge(entry, moment, own=moment == "tool" and gives_mail(tool))
            if state == "proven":
                proven += entry["ids"]
            elif state == "lost":
                proven += entry["again"]
                lost += [i for i in entry["ids"] if i not in entry["again"]]
            else:
                kept.append(entry)
        record.entries = kept
    return proven, lost


def _judge(entry: dict[str, Any], moment: str, *, own: bool) -> str:
    if moment in ("start", "end"):
        return "lost"
    if entry["by"] == "hook" or (entry["ran"] and not own):
        return "proven"
    if own:
        entry["ran"] = True
        return "kept"
    if moment in ("prompt", "stop"):
        return "lost" if entry["late"] else "proven"
    return "kept"  # another tool that ran beside it


def _path(home: str, session: str) -> str:
    return host_sessions.path_of(home, session).removesuffix(".json") + ".shown"


class _Record:
    """The file's entries, locked from enter to exit, which writes them."""

    def __init__(self, home: str, session: str) -> None:
        self._path = _path(home, session)
        self.entries: list[dict[str, Any]] = []

    def __enter__(self) -> _Record:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        self._before = os.read(self._fd, 1 << 24)
        oldest_s = time.time() - _KEPT_S
        try:
            self.entries = [e for e in json.loads(self._before or b"[]") if e["at_s"] > oldest_s]
        except (ValueError, TypeError, KeyError):
            self.entries = []
        return self

    def __exit__(self, *_: object) -> None:
        try:
            raw = json.dumps(self.entries).encode() if self.entries else b""
            if raw != self._before:
                os.pwrite(self._fd, raw, 0)
                os.ftruncate(self._fd, len(raw))
        finally:
            os.close(self._fd)
