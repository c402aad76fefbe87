"""``ipc log``: what the service's processes have noted, one line an event, and with ``-f`` what they note from now on."""

from __future__ import annotations

import json
import os
import select
import sys
import time

from bridges import log_files
from bridges.fence import one_line, one_line_json, quoted
from bridges.log_files import ProcessLog
from bridges.terminal import complain, give_up_output, style
from broker.home.paths import Place
from broker.protocol.errors import IpcError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import Any

OK = 0
_LOOK_MS = 200
"""Time between two looks at the files: the standard library has no word of the kernel for them, and a look is a few stats."""
_BEFORE = 10
"""Events shown before those that are followed."""
_COLOURS = {"debug": "dim", "info": "green", "warning": "yellow", "error": "red"}
_HEAD = ("time", "level", "event")
_LONG_CHARS = 200


def log(place: Place, options: argparse.Namespace) -> int:
    """Print what was noted, then, if asked, what is noted until interrupted or nobody reads any more."""
    folder = os.path.join(place.home, "logs")
    known = log_files.names(folder)
    unknown = [name for name in options.names if name not in known]
    if unknown and not options.follow:
        there = f"there are: {', '.join(known)}" if known else "no process of this data folder has written one"
        raise IpcError("bad_request", detail=f"No log {quoted(unknown[0])}; {there}")
    for name in unknown:
        complain(f"no log {quoted(name)} yet; it is shown once there is one")
    most = (_BEFORE if options.follow else 0) if options.lines is None else options.lines
    logs = {name: ProcessLog(folder, name) for name in options.names or known}
    events = [(name, event) for name, one in logs.items() for event in one.newest(most, options.level)]
    events.sort(key=_when)
    _show(events[-most:] if most else events, options.json)
    while options.follow and _read_on():
        for name in () if options.names else log_files.names(folder):
            logs.setdefault(name, ProcessLog(folder, name))
        _show(sorted(_new(logs, options.level), key=_when), options.json)
    return OK


def _new(logs: dict[str, ProcessLog], least: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, one in logs.items():
        for event in one.new(least):
            yield name, event


def _when(row: tuple[str, dict[str, Any]]) -> str:
    return str(row[1].get("time", ""))


def _read_on() -> bool:
    """Wait; False if nobody reads standard output any more (then a pipe says so, though nothing is written to it)."""
    if not hasattr(select, "poll"):
        time.sleep(_LOOK_MS / 1000)
        return True
    output = select.poll()
    output.register(sys.stdout, 0)
    gone = any(found & (select.POLLERR | select.POLLHUP) for _, found in output.poll(_LOOK_MS))
    if gone:
        give_up_output()
    return not gone


def _show(events: list[tuple[str, dict[str, Any]]], as_json: bool) -> None:
    lines = (json.dumps({"log": name, **event}) if as_json else line(name, event) for name, event in events)
    text = "\n".join(lines)
    if text:
        print(text, flush=True)


def line(name: str, event: dict[str, Any]) -> str:
    """``2026-11-28 20:25:31.120 warning broker     session_refused  name=fred``, in local time."""
    level = one_line(str(event.get("level", "")))
    shown = style(level.ljust(7), _COLOURS[level]) if level in _COLOURS else level.ljust(7)
    what = style(one_line(str(event.get("event", ""))), "bold")
    fields = " ".join(f"{style(f'{one_line(key)}=', 'dim')}{_value(key, event[key])}" for key in event if key not in _HEAD)
    return f"{_local(str(event.get('time', '')))} {shown} {name.ljust(10)} {what}  {fields}".rstrip()


def _local(timestamp: str) -> str:
    from datetime import datetime

    try:
        return datetime.fromisoformat(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    except (ValueError, OverflowError):
        return one_line(timestamp)


def _value(key: str, value: Any) -> str:
    """A field's value: a word as it is, another text in quotes, of a traceback the last line, the rest as JSON."""
    if isinstance(value, str):
        if key == "traceback":
            value = value.rpartition("\n")[2]
        plain = value and value.isprintable() and not set(value) & set(" \"'=")
        return one_line(value) if plain and len(value) <= _LONG_CHARS else quoted(value, _LONG_CHARS)
    return json.dumps(one_line_json(value), ensure_ascii=False)
