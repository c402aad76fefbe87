"""How the running service differs from what this shell would start: in its version and in its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from broker.home.files import is_supervised
from broker.home.paths import version_number
from broker.service.launcher import supervisor_state
from broker.version import VERSION

if TYPE_CHECKING:
    from broker.home.settings import Settings

_RESTART = "ipc down, then: ipc up"
_OF_CLIENTS = ("home", "key_file")


def differences(settings: Settings) -> list[str]:
    """A line for each difference, with what to type; empty where no service runs, or one that does not say."""
    state = supervisor_state(settings) if is_supervised(settings) else {}
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
    """By name (the running service's value, this shell's, where that comes from) of each setting that differs."""
    running = state.get("settings")
    if not isinstance(running, dict):
        return {}
    rows = ((name, value, origin) for name, value, origin in settings.public() if name not in _OF_CLIENTS)
    return {name: (str(running[name]), own, origin) for name, own, origin in rows if running.get(name, own) != own}


def shown(settings: Settings) -> list[tuple[str, str, str]]:
    """(name, value, origin) of each setting as the running service has it, or this shell where none runs."""
    state = supervisor_state(settings) if is_supervised(settings) else {}
    other = changed(settings, state)
    return [
        (name, other[name][0], f"the service (here {value or 'not set'}, {origin})") if name in other else (name, value, origin)
        for name, value, origin in settings.public()
    ]
