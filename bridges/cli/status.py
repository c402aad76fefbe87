"""``ipc status``: what runs, who is registered, how much mail waits."""

import argparse
from typing import Any

from bridges.cli import sites
from bridges.cli.service_state import (
    answers_line,
    ask,
    differences,
    door_state,
    notify_line,
    page_line,
    repair_line,
    resume_line,
    shown,
)
from bridges.fence import one_line
from bridges.plurals import number_of
from bridges.terminal import ago, complain, doing, say, say_json, style, table
from broker.home import keys
from broker.home.endpoints import socket_answers
from broker.home.settings import Settings
from broker.protocol.errors import SettingsError
from broker.service.launcher import supervisor_state

OK, NOT_RUNNING = 0, 3
_SET_S = 2.0
_DOORS = {"page": "web.json", "answers": "answers.json", "notify": "notify.json", "resume": "resume.json"}
"""What a person's doors say of themselves, by their names in --json."""


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
        gate = {"remote": door_state(settings, "remote.json") or None, "keys": count_keys(settings)}
        other = {"differs": differences(settings)}
        page = {name: door_state(settings, file) or None for name, file in _DOORS.items()}
        say_json({"running": True, **found, "tcp": door or None, **gate, **page, "children": children, **other})
        return OK
    _say_service(settings, found, door)
    for line in differences(settings):
        complain(line)
    if found["instances"]:
        say()
        say(instances(found["instances"]))
    if "sites" in found and found["sites"]["sites"]:
        say()
        say(sites.waiting(found["sites"]))
    return OK


def _say_service(settings: Settings, found: dict[str, Any], door: dict[str, Any]) -> None:
    say(f"{style('running', 'green')}  version {found['version']}, process {found['pid']}, up {found['uptime_s']:g} s")
    say(f"data     {settings.home}")
    say(f"zeromq   {found['endpoint']}, and wire.sock beside it for programs of this machine")
    say(f"tcp      {door_line(door)}")
    gate = door_state(settings, "remote.json")
    if settings.remote or gate:
        say(f"remote   {gate_line(settings, gate)}")
    if page := door_state(settings, "web.json"):
        say(f"page     {page_line(page)}")
    if listener := door_state(settings, "answers.json"):
        say(f"answers  {answers_line(listener, settings)}")
    if told := door_state(settings, "notify.json"):
        say(f"notify   {notify_line(told)}")
    if started := door_state(settings, "resume.json"):
        say(f"resume   {resume_line(started)}")
    if "sites" in found:
        say(sites.site_line(found["sites"]))
    unclaimed = f", {number_of(found['unclaimed'], 'name')} nobody has yet" if found["unclaimed"] else ""
    say(f"mail     {found['queued']} unread{unclaimed}; {found['database_bytes'] // 1024} KiB")
    if found.get("bounces_dropped"):
        say(f"bounces  {number_of(found['bounces_dropped'], 'digest')} found no room in a sender's mailbox and were dropped")
    clock = clock_line(found)
    if clock:
        say(style(f"clock    {clock}", "yellow"))
    for row in found["instances"]:
        if row.get("stuck"):
            say(style(f"stuck    {row['id']}: {one_line(row['stuck']['evidence'])}", "yellow"))
    repaired = found.get("repaired")
    if repaired:
        say(style(f"repaired {repair_line(repaired)}", "yellow"))
    limits = found["limits"]
    say(f"limits   {limits['mailbox_limit']} messages a mailbox, {limits['rate_limit']:g} messages/s a session")
    if "wake_limit" in limits:  # a service before 0.4.0 has none
        say(f"wakes    {budget(limits['wake_limit'])} an hour, {budget(limits['pair_wake_limit'])} of them by one sender")


def budget(limit: int) -> str:
    return str(limit) if limit else "any number"


def clock_line(found: dict[str, Any]) -> str:
    """What happened to the service's clock; empty if it was not set and nothing waits for it."""
    told = found.get("clock") or {}
    ahead_s, held_s = told.get("ahead_s", 0.0), told.get("held_s", 0.0)
    if held_s:
        return f"nothing ends for an hour: the machine was off, or its clock was set ({held_s:.0f} s)"
    if told.get("jumps") or abs(ahead_s) > _SET_S:
        now = f"ahead by {ahead_s:.0f} s" if ahead_s > 0 else f"behind by {-ahead_s:.0f} s" if ahead_s < 0 else "as before"
        return f"was set while the service ran, and is {now} now; nothing ends earlier or later for that"
    return ""


def instances(rows: list[dict[str, Any]]) -> str:
    """A line for each instance: how much waits, what it does, and by which ways mail reaches it (docs/hosts.md)."""
    head = ("NAME", "UNREAD", "LAST SEEN", "PRESENCE", "REACHED BY")
    cells = [
        (i["id"], str(i["queued"]), ago(i["last_seen"]), doing(i), " ".join(reached_by(i)) or "its own checks") for i in rows
    ]
    return table(head, cells)


def reached_by(row: dict[str, Any]) -> list[str]:
    """The ways of an agent's mail. Of one that did not wake it last, that: ``socket (failed)``."""
    states = {way["way"]: way["state"] for way in row.get("ways", []) if way["state"] in ("failed", "refused")}
    return [f"{way} ({states[way]})" if way in states else way for way in row.get("reach", [])]


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
    many = count_keys(settings)
    return f"{gate['endpoint']}, {number_of(many, 'key')} allowed"


def count_keys(settings: Settings) -> int:
    """How many keys are allowed. Raises SettingsError if the list can't be read."""
    try:
        return len(keys.allowed(settings))
    except OSError as e:
        raise SettingsError(str(e)) from None
