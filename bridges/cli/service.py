"""Start, stop and look at the service."""

import argparse
import contextlib
import json
import os
import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bridges.cli.running import differences, shown
from bridges.terminal import ago, complain, say, say_json, style, table
from broker.client.sync import Connection
from broker.home import keys
from broker.home.files import endpoint, is_supervised, prepare_home, socket_answers
from broker.home.message_files import locate
from broker.home.paths import runs_older
from broker.home.settings import Settings
from broker.protocol.errors import IpcError, SettingsError
from broker.service.launcher import STOP_DEADLINE_S, ensure_running, running_supervisor, stop, stop_older, supervisor_state
from broker.store.doctor import loss
from broker.version import VERSION

OK, FAILED, NOT_RUNNING = 0, 1, 3
_FILES = """SELECT m.file_path FROM message m WHERE m.file_path IS NOT NULL
AND EXISTS (SELECT 1 FROM queue q WHERE q.message_id = m.id)"""
_SET_S = 2.0
_LOW_DISK_BYTES = 256 * 1024 * 1024


def up(settings: Settings, options: argparse.Namespace) -> int:
    if socket_answers(settings) and not runs_older(str(settings.home)):
        say(f"Already running in {settings.home}")
        say_differences(settings)
        return OK
    if options.foreground:
        from broker.service.supervisor import main

        stop_older(settings)
        return main()
    ensure_running(settings)
    say(f"Running in {settings.home}")
    kept = _repair_kept(settings)
    if kept:
        say(style(f"The database was repaired: {kept}", "yellow"))
    say_differences(settings)
    door = _wait_for_door(settings)
    if door.get("error"):
        complain(f"the TCP door is closed: {door['error']}")
    elif door:
        say(f"TCP door on {door['host']}:{door['port']}")
        if door.get("warning"):
            complain(door["warning"])
    if settings.remote:
        gate = _wait_for_door(settings, "remote.json")
        if gate.get("error"):
            complain(f"the door for other machines is closed: {gate['error']}")
        elif gate:
            say(f"Other machines, with keys, on {gate['endpoint']}")
    return OK


def say_differences(settings: Settings) -> None:
    for line in differences(settings):
        complain(line)


def _wait_for_door(settings: Settings, file: str = "tcp.json", deadline_s: float = 5.0) -> dict[str, Any]:
    """What a door of this supervisor says of itself; empty if it says nothing in time."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        door = door_state(settings, file)
        if door:
            return door
        time.sleep(0.02)
    return {}


def door_state(settings: Settings, file: str = "tcp.json") -> dict[str, Any]:
    """``run/tcp.json`` of a living door: pid, host, port, error (``remote.json``: endpoint); empty otherwise."""
    state = _read(settings.home / "run" / file)
    return state if state and _alive(int(state.get("pid", 0))) else {}


def _read(path: Path) -> dict[str, Any]:
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return pid > 0


def down(settings: Settings, _options: argparse.Namespace) -> int:
    if not is_supervised(settings):
        say("Not running")
        return OK
    running = running_supervisor(settings)
    if running is None:
        complain(f"{settings.home / 'run' / 'supervisor.json'} does not name the supervisor that runs", "try again in 5 s")
        return FAILED
    if not stop(settings, running):
        complain(f"process {running.pid} has not stopped within {STOP_DEADLINE_S:g} s", f"kill {running.pid}")
        return FAILED
    say("Stopped")
    return OK


def status(settings: Settings, options: argparse.Namespace) -> int:
    if options.config:
        rows = shown(settings)
        if options.json:
            say_json({n: {"value": v, "origin": o} for n, v, o in rows})
        else:
            say(table(("SETTING", "VALUE", "FROM"), rows))
        return OK
    if not socket_answers(settings):
        if options.json:
            say_json({"running": False})
        complain("not running", "ipc up")
        return NOT_RUNNING
    found = ask(settings, "status")
    door = door_state(settings)
    if options.json:
        children = supervisor_state(settings).get("children", {})
        gate = {"remote": door_state(settings, "remote.json") or None, "keys": _count_keys(settings)}
        other = {"differs": differences(settings)}
        say_json({"running": True, **found, "tcp": door or None, **gate, "children": children, **other})
        return OK
    _say_service(settings, found, door)
    say_differences(settings)
    if found["instances"]:
        say()
        say(instances(found["instances"]))
    return OK


def _say_service(settings: Settings, found: dict[str, Any], door: dict[str, Any]) -> None:
    say(f"{style('running', 'green')}  version {found['version']}, process {found['pid']}, up {found['uptime_s']:g} s")
    say(f"data     {settings.home}")
    say(f"zeromq   {found['endpoint']}, and wire.sock beside it for programs of this machine")
    say(f"tcp      {door_line(door)}")
    gate = door_state(settings, "remote.json")
    if settings.remote or gate:
        say(f"remote   {gate_line(settings, gate)}")
    unclaimed = f", {found['unclaimed']} names nobody has yet" if found["unclaimed"] else ""
    say(f"mail     {found['queued']} unread{unclaimed}; {found['database_bytes'] // 1024} KiB")
    clock = clock_line(found)
    if clock:
        say(style(f"clock    {clock}", "yellow"))
    repaired = found.get("repaired")
    if repaired:
        say(style(f"repaired {_repaired(repaired)}", "yellow"))
    limits = found["limits"]
    say(f"limits   {limits['mailbox_limit']} messages a mailbox, {limits['rate_limit']:g} messages/s a session")


def _repaired(told: dict[str, Any]) -> str:
    """What the last repair saved, what it could not, and where the rest is."""
    return f"{told['saved']} messages saved, {loss(told['saved'], told['lost'])}; the old database is kept: {told['kept_as']}"


def _repair_kept(settings: Settings) -> str | None:
    """The same as long as the old database is there."""
    told = _read(settings.home / "repair.json")
    return _repaired(told) if told and (settings.home / told["kept_as"]).exists() else None


def clock_line(found: dict[str, Any]) -> str:
    """What the service's clock has to say; empty where nothing was set and nothing waits."""
    told = found.get("clock") or {}
    ahead_s, held_s = told.get("ahead_s", 0.0), told.get("held_s", 0.0)
    if held_s:
        return f"nothing ends for an hour: the machine was off, or its clock was set ({held_s:.0f} s)"
    if told.get("jumps") or abs(ahead_s) > _SET_S:
        now = f"ahead by {ahead_s:.0f} s" if ahead_s > 0 else f"behind by {-ahead_s:.0f} s" if ahead_s < 0 else "as before"
        return f"was set while the service ran, and is {now} now; nothing ends earlier or later for that"
    return ""


def instances(rows: list[dict[str, Any]]) -> str:
    """A line for each: how much waits for it, what it does, and by which ways mail reaches it (docs/hosts.md)."""
    head = ("NAME", "UNREAD", "LAST SEEN", "PRESENCE", "REACHED BY")
    cells = [
        (i["id"], str(i["queued"]), ago(i["last_seen"]), i["presence"], " ".join(i.get("reach", [])) or "its own checks")
        for i in rows
    ]
    return table(head, cells)


def door_line(door: dict[str, Any]) -> str:
    if not door:
        return "not running"
    tls = ", TLS" if door.get("tls") else ""
    warning = f"; {door['warning']}" if door.get("warning") else ""
    return f"closed: {door['error']}" if door["error"] else f"{door['host']}:{door['port']}{tls}{warning}"


def gate_line(settings: Settings, gate: dict[str, Any]) -> str:
    if not gate:
        return "not running"
    if gate["error"]:
        return f"closed: {gate['error']}"
    many = _count_keys(settings)
    return f"{gate['endpoint']}, {many} {'key' if many == 1 else 'keys'} allowed"


def _count_keys(settings: Settings) -> int:
    """Raises SettingsError where the list can't be read."""
    try:
        return len(keys.allowed(settings))
    except OSError as e:
        raise SettingsError(str(e)) from None


def ask(settings: Settings, action: str) -> dict[str, Any]:
    connection = Connection(settings, autostart=False, door="cli")
    try:
        reply = connection.request(action, timeout_s=5.0)
    finally:
        connection.close()
    return {k: v for k, v in reply.items() if k not in ("id", "status")}


Finding = tuple[str, str]
"""(ok, warn or FAIL; what was found and what to do)"""


def doctor(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0 if nothing failed."""
    if options.repair:
        return _repair(settings)
    worst = OK
    checks: dict[str, Callable[[Settings], Finding]] = {
        "versions": _versions,
        "folder": _folder,
        "disk": _disk,
        "database": _database,
        "clock": _clock,
        "broker": _broker,
        "settings": _settings,
        "tcp door": _tcp,
        "remote": _remote,
        "hosts": _hosts,
    }
    for name, examine in checks.items():
        try:
            verdict, text = examine(settings)
        except (OSError, IpcError) as e:
            verdict, text = "FAIL", str(e)
        colour = {"ok": "green", "warn": "yellow", "FAIL": "red"}[verdict]
        say(f"{style(verdict.ljust(4), colour)}  {name.ljust(9)} {text}")
        if verdict == "FAIL":
            worst = FAILED
    return worst


def _hosts(settings: Settings) -> Finding:
    """What ``ipc install HOST --check`` finds, for each host of this user that has something of ours."""
    from bridges.install.check import problems
    from bridges.install.install import installed

    found = {wanted.host: problems(wanted) for wanted in installed(settings, "user")}
    bad = [f"{host}: {told[0]}. Next: ipc install {host}" for host, told in found.items() if told]
    return ("warn", "; ".join(bad)) if bad else ("ok", ", ".join(found) or "none is installed; ipc install connects one")


def _repair(settings: Settings) -> int:
    from broker.store.doctor import InUse, repair_now

    try:
        say(repair_now(settings))
    except InUse:
        complain("the service is running", "ipc down, then: ipc doctor --repair")
        return FAILED
    except OSError as e:
        complain(str(e))
        return FAILED
    return OK


def _versions(_settings: Settings) -> Finding:
    return "ok", f"agent-ipc {VERSION}, Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}"


def _folder(settings: Settings) -> Finding:
    try:
        prepare_home(settings)
    except OSError as e:
        return "FAIL", f"{settings.home}: {e}"
    return "ok", f"{settings.home} is yours alone"


def _disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(settings.home).free
    text = f"{free // 2**20} MiB free"
    return ("warn", f"{text}; free some, or mail will be refused") if free < _LOW_DISK_BYTES else ("ok", text)


def _rows(settings: Settings, sql: str) -> list[Any]:
    path = settings.home / "ipc.db"
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5) as db:
        return db.execute(sql).fetchall()


def _query(settings: Settings, sql: str) -> Any:
    path = settings.home / "ipc.db"
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5) as db:
        return db.execute(sql).fetchone()[0]


def _database(settings: Settings) -> Finding:
    if not (settings.home / "ipc.db").exists():
        return "ok", "none yet"
    try:
        found = _query(settings, "PRAGMA quick_check(1)")
        version = _query(settings, "PRAGMA user_version")
    except sqlite3.Error as e:
        return "FAIL", f"{settings.home / 'ipc.db'}: {e}. To save what is readable: ipc down, ipc doctor --repair"
    if found != "ok":
        return "FAIL", f"{found}. To save what is readable: ipc down, ipc doctor --repair"
    located = [locate(row[0], settings) for row in _rows(settings, _FILES)]
    missing = sum(path is None or not path.is_file() for path in located)
    if missing:
        return "warn", f"schema {version}, consistent; but the files of {missing} unread large messages have been deleted"
    kept = _repair_kept(settings)
    if kept:
        return "warn", f"schema {version}, consistent; repaired: {kept} (remove it once nothing is missed)"
    return "ok", f"schema {version}, consistent"


def _clock(settings: Settings) -> Finding:
    if socket_answers(settings):
        with contextlib.suppress(IpcError):  # which the broker's own row tells
            line = clock_line(ask(settings, "status"))
            if line:
                return "warn", f"the wall clock {line}" if line.startswith("was set") else line
    try:
        newest = _query(
            settings, "SELECT coalesce(max(created_s), 0) FROM (SELECT created_s FROM message ORDER BY id DESC LIMIT 100)"
        )
    except sqlite3.Error:
        return "ok", "nothing to compare with"
    ahead_s = newest - time.time()
    if ahead_s > 60:
        return "warn", f"the newest message is {ahead_s:.0f} s in the future: the clock was set back"
    return "ok", "no message is from the future"


def _broker(settings: Settings) -> Finding:
    try:
        if not socket_answers(settings):
            return "warn", "not running; the next agent starts it, or: ipc up"
        found = ask(settings, "ping")
    except IpcError as e:
        return "FAIL", f"listens at {endpoint(settings)} but does not answer ({e.text}); run: ipc down, ipc up"
    return "ok", f"process {found['pid']} answers"


def _settings(settings: Settings) -> Finding:
    found = differences(settings)
    return ("warn", "; ".join(found)) if found else ("ok", "the service has those of this shell")


def _tcp(settings: Settings) -> Finding:
    door = door_state(settings)
    if not door:
        return "warn", "not running; ipc up starts it"
    if door["error"]:
        return "FAIL", str(door["error"])
    try:
        socket.create_connection((door["host"], door["port"]), timeout=2).close()
    except OSError as e:
        return "FAIL", f"{door['host']}:{door['port']} does not answer: {e}"
    if door.get("warning"):
        return "warn", f"{door['host']}:{door['port']} answers, but {door['warning']}"
    return "ok", f"{door['host']}:{door['port']} answers"


def _remote(settings: Settings) -> Finding:
    gate = door_state(settings, "remote.json")
    if not settings.remote and not gate:
        return "ok", "closed to other machines; IPC_REMOTE opens it"
    if not gate:
        return "warn", f"{settings.remote} is not served; run: ipc down, ipc up"
    try:
        line = gate_line(settings, gate)
    except SettingsError as e:
        return "FAIL", str(e)
    return ("FAIL" if gate["error"] else "ok"), line
