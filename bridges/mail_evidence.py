"""When mail is acknowledged on evidence. Mail that a model was given waits here: ``sessions/host-SESSION.shown``.

    given by a tool or a hook --> kept here, on lease --evidence--> acknowledged
                                        |
                                        +-- the host gave up or ended --> released: it comes again, "perhaps seen"

Hooks and the MCP door of one session both write here. This is evidence that the model has the mail:

- For a hook's answer: the session's next event of another step (one answer of the model, with the tools that it calls).
- For a tool's result: the next event after the end of the tool's own step. If that was not told, the end of the turn lets us
  infer it, unless the result was so late that the host may have given it up.

Claude Code tells the end of a step. Other hosts do not: of their events after a tool none can know whether the model was asked
meanwhile, or another tool of the same step has run. There the end of the turn is the first evidence.

- For mail in a message that we put into the host's inbox, of which the host says nothing and which it may drop: the host's own
  record of the conversation has it, and an answer of the model behind it. That may be written a while after the turn's end.

A prompt is no evidence: its hook runs before the model is asked. A start that is no compaction, and the session's end, show
that a turn was broken off: the mail here then comes again, however often it was shown. Mail without evidence for an hour comes
again, too.

The file is locked while it is read and written. It is written in place. A writer that is killed leaves no JSON; the mail then
comes back when its lease ends.
"""

from __future__ import annotations

import json
import os
import time

from bridges import host_sessions
from broker.home.locks import hold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HELD_S = 600
"""Seconds that shown mail stays on lease. A model may think for minutes before its next event; mail of a host that was killed
is held up for as long."""
_KEPT_S = 3600.0
LOOK = "look"
"""The moment of a look at what was put into the host's inbox, between events."""
_QUEUED_S = 10.0
"""A message of ours that an idle host has not taken within so long was dropped; the next prompt brings its mail."""
_GIVERS = ("check", "ask", "say")
"""Tools whose results may hold mail."""


def gives_mail(tool: str) -> bool:
    """True for a host's name of one of our tools that give mail: ``mcp__plugin_agent-ipc_ipc__check``, ``ipc-check``."""
    server, _, name = tool.replace("-", "_").rpartition("_")
    server = server.rstrip("_")
    return name in _GIVERS and (server == "ipc" or server.endswith("_ipc"))


def add(
    home: str,
    session: str,
    ids: list[str],
    *,
    by: str,
    late: bool = False,
    key: str = "",
    ran: bool = False,
    amid: bool = False,
) -> None:
    """Keep what was given ``by`` a ``tool`` or a ``hook``.

    ``late``: the host may have given the request up. ``key``: the key of the request. ``ran``: the tool's own event came.
    ``amid``: other tools of the same step may follow.
    """
    entry = {"ids": ids, "by": by, "late": late, "key": key, "ran": ran, "amid": amid, "at_s": time.time()}
    with _Record(home, session) as record:
        record.entries.append(entry)


def add_frame(home: str, session: str, ids: list[str], *, mark: str, answer: str, path: str, begins: int) -> None:
    """Keep what was put into the host's inbox. Its text has the ``mark``, which is then in the host's record of the
    conversation (``path``), behind the first ``begins`` bytes; ``answer`` is in the record of what the model says."""
    where = {"key": mark, "answer": answer, "path": path, "begins": begins}
    with _Record(home, session) as record:
        record.entries.append({"ids": ids, "by": "frame", "at_s": time.time(), **where})


def in_record(path: str, begins: int, mark: str, answer: str = "") -> bool:
    """True if the host's record of the conversation has the mark behind that many bytes, and an answer behind that."""
    try:
        with open(path, "rb") as f:
            f.seek(begins)
            _, found, rest = f.read().rpartition(mark.encode())
    except OSError:
        return False
    return bool(found) and answer.encode() in rest


def frame_waits(home: str, session: str) -> bool:
    """True while it is not known whether the model has what was put into the host's inbox."""
    if not os.path.exists(_path(home, session)):
        return False
    with _Record(home, session) as record:
        return any(entry["by"] == "frame" for entry in record.entries)


def held(home: str, session: str) -> set[str]:
    """The ids that are kept. Such mail is not new to the model when the end of a lease brings it back."""
    if not os.path.exists(_path(home, session)):
        return set()
    with _Record(home, session) as record:
        return {i for entry in record.entries if entry["by"] != "frame" or _in_record(entry) for i in entry["ids"]}


def drop(home: str, session: str, key: str | None = None) -> list[str]:
    """Take out what the request gave, or everything. Returns the ids; the caller releases them."""
    if not os.path.exists(_path(home, session)):
        return []
    with _Record(home, session) as record:
        gone = [e for e in record.entries if key is None or e["key"] == key]
        record.entries = [e for e in record.entries if e not in gone]
    return [i for entry in gone for i in entry["ids"]]


def settle(
    home: str, session: str, moment: str, tools: list[str], *, whole: bool = False
) -> tuple[dict[str, list[str]], list[str]]:
    """Take out what an event of the session settles: (ids that the model has, by evidence; ids that it may not have).

    ``moment`` is the event as bridges.hosts calls it. ``tools`` are the names of the tools that it is about, ``whole``: of all
    those of a step, which is over.
    """
    proven: dict[str, list[str]] = {}
    lost: list[str] = []
    if not os.path.exists(_path(home, session)):
        return proven, lost
    with _Record(home, session) as record:
        kept = []
        for entry in record.entries:
            state = _judge(entry, moment, own=moment == "tool" and any(map(gives_mail, tools)), whole=whole)
            if state == "kept":
                kept.append(entry)
            elif state == "lost":
                lost += entry["ids"]
            else:
                proven.setdefault(state, []).extend(entry["ids"])
        record.entries = kept
    return proven, lost


def _judge(entry: dict[str, Any], moment: str, *, own: bool, whole: bool) -> str:
    """``kept``, ``lost``, or the evidence that the model has it."""
    if entry["by"] == "frame":
        return _judge_frame(entry, moment)
    if moment == LOOK:
        return "kept"
    if moment in ("start", "end"):
        return "lost"
    if moment == "prompt":  # the model is asked after it
        return "lost" if _may_be_dropped(entry) else "kept"
    if entry["by"] == "hook" or (entry["ran"] and (whole or not own)):
        same_step = entry.get("amid") and not whole and moment in ("tool", "edit")
        return "kept" if same_step else str(entry["by"])
    if own:
        entry["ran"], entry["amid"] = True, not whole
        return "kept"
    if moment == "stop":
        return "lost" if entry["late"] else "inferred"
    return "kept"  # the event is about another tool that ran at the same time


def _judge_frame(entry: dict[str, Any], moment: str) -> str:
    if _in_record(entry, entry["answer"]):
        return "hook"
    dropped = moment == "prompt" and time.time() - entry["at_s"] > _QUEUED_S and not _in_record(entry)
    return "lost" if dropped or moment in ("start", "end") else "kept"


def _in_record(entry: dict[str, Any], answer: str = "") -> bool:
    return in_record(entry["path"], entry["begins"], entry["key"], answer)


def _may_be_dropped(entry: dict[str, Any]) -> bool:
    return entry["by"] == "tool" and not entry["ran"] and bool(entry["late"])


def _path(home: str, session: str) -> str:
    return host_sessions.path_of(home, session).removesuffix(".json") + ".shown"


class _Record:
    """The file's entries, locked in a ``with`` block. Its end writes them."""

    def __init__(self, home: str, session: str) -> None:
        self._path = _path(home, session)
        self.entries: list[dict[str, Any]] = []

    def __enter__(self) -> _Record:
        fd = hold(self._path, wait=True)
        assert fd is not None  # it waits
        self._fd = fd
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
