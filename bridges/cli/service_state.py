"""The running service: its doors, its last repair, and how it differs from what this shell would start."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridges.plurals import number_of
from broker.client.sync import Connection
from broker.home.locks import is_supervised
from broker.home.paths import version_number
from broker.service.launcher import supervisor_state
from broker.version import VERSION

if TYPE_CHECKING:
    from broker.home.settings import Settings

_RESTART = "ipc down, then: ipc up"
_OF_CLIENTS = ("home", "key_file")


def differences(settings: Settings) -> list[str]:
    """A line for each difference, with what to type. Empty if no service runs, or one too old to tell."""
    state = supervisor_state(settings) if is_supervised(settings.home) else {}
    lines = []
    theirs = str(state.get("version", ""))
    if state and version_number(theirs) > version_number(VERSION):
        lines.append(f"the service is version {theirs}, this is {VERSION}; upgrade this one: pip install -U agent-ipc")
    elif state and theirs != VERSION:
        lines.append(f"the service is version {theirs or '0.3.0 or earlier'}, this is {VERSION}; to have this one: {_RESTART}")
    for name, (value, own, origin) in changed(settings, state).items():
        where = "config.toml" if origin.startswith("config.toml") else origin
        lines.append(
            f"{name} is {value or 'not set'} in the service, {own or 'not set'} here ({where}); to have yours: {_RESTART}"
        )
    return lines


def changed(settings: Settings, state: dict[str, object]) -> dict[str, tuple[str, str, str]]:
    """(the service's value, this shell's, the origin of this shell's) by name, for each setting that differs."""
    running = state.get("settings")
    if not isinstance(running, dict):
        return {}
    rows = ((name, value, origin) for name, value, origin in settings.public() if name not in _OF_CLIENTS)
    return {name: (str(running[name]), own, origin) for name, own, origin in rows if running.get(name, own) != own}


def shown(settings: Settings) -> list[tuple[str, str, str]]:
    """(name, value, origin) of each setting: the running service's, or this shell's if none runs."""
    state = supervisor_state(settings) if is_supervised(settings.home) else {}
    other = changed(settings, state)
    return [
        (name, other[name][0], f"the service (here {value or 'not set'}, {origin})") if name in other else (name, value, origin)
        for name, value, origin in settings.public()
    ]


def door_state(settings: Settings, file: str = "tcp.json") -> dict[str, Any]:
    """What a living door wrote into ``run/tcp.json``: pid, host, port, error (``remote.json``: endpoint). Else empty."""
    state = read_state(settings.home / "run" / file)
    return state if state and _alive(int(state.get("pid", 0))) else {}


def page_line(page: dict[str, Any]) -> str:
    """What a living page says of itself, for a person."""
    return f"closed: {page['error']}" if page["error"] else f"http://127.0.0.1:{page['port']}; ipc web prints a link to it"


def answers_line(state: dict[str, Any], settings: Settings) -> str:
    """What the living listener for links and webhooks says of itself."""
    if state["error"]:
        return f"closed: {state['error']}"
    first = settings.web_hosts.partition(",")[0].strip()
    return f"{state['host']}:{state['port']}; links lead to {f'https://{first}' if first else 'this machine alone (web_hosts)'}"


def notify_line(state: dict[str, Any]) -> str:
    """What the living process that tells the person says of itself."""
    if state["error"]:
        return f"tells nothing: {state['error']}"
    return f"{', '.join(state['channels']) or 'no channel'}; ipc notify shows what became of each"


def resume_line(state: dict[str, Any]) -> str:
    """What the living process that starts closed agents again says of each of them."""
    if state["error"]:
        return f"starts nobody: {state['error']}"
    runs = state.get("runs", {})
    told = "; ".join(
        f"{name}: {f'runs for mail until {runs[name]}' if name in runs else why or 'closed, and mail starts it'}"
        for name, why in state.get("agents", {}).items()
    )
    return told or "[hosts.resume] names nobody"


def read_state(path: Path) -> dict[str, Any]:
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


def ask(settings: Settings, action: str) -> dict[str, Any]:
    connection = Connection(settings, autostart=False, door="cli")
    try:
        reply = connection.request(action, timeout_s=5.0)
    finally:
        connection.close()
    return {k: v for k, v in reply.items() if k not in ("id", "status")}


def repair_line(told: dict[str, Any]) -> str:
    """What a repair saved, what it could not save, and where the old database is."""
    from broker.store.repair_words import loss

    saved = number_of(told["saved"], "message")
    return f"{saved} saved, {loss(told['saved'], told['lost'])}; the old database is kept: {told['kept_as']}"


def repair_kept(settings: Settings) -> str | None:
    """The line of the last repair, as long as its old database is there; else None."""
    told = read_state(settings.home / "repair.json")
    return repair_line(told) if told and (settings.home / told["kept_as"]).exists() else None
