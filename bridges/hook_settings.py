"""``[hosts]`` of config.toml: how hooks behave. Read at a session's start and kept with its binding.

[hosts]
stop_holds = 3          # how many times in a row a finished agent is held for urgent mail; 0 = never
context_chars = 9000    # how many characters of mail the hooks of one turn add
look_s = 8              # seconds that a notice has to begin a turn before the next way is tried
channel = false         # the host was started so that it takes our channel's notifications

[hosts.resume]          # bridges.resume.resume_settings

[hosts.names]
"/home/me/project" = "fred"
"""

from __future__ import annotations

import os

from broker.home import environment
from broker.home.files import read_trusted
from broker.protocol.errors import SettingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KNOWN: dict[str, type] = {
    "stop_holds": int,
    "context_chars": int,
    "look_s": int,
    "channel": bool,
    "wake": bool,
    "names": dict,
    "resume": dict,
}
_LIMITS: dict[str, tuple[int, int]] = {"stop_holds": (0, 8), "context_chars": (1000, 9500), "look_s": (1, 600)}


def read(home: str) -> tuple[dict[str, Any], str]:
    """(the table, the shared secret); both empty without a config.toml. Raises SettingsError."""
    path = os.path.join(home, "config.toml")
    secret = environment.shared_secret()
    if not os.path.exists(path):
        return {}, secret
    import tomllib  # takes 16 ms, and most homes have no config file

    try:
        whole = tomllib.loads(read_trusted(path))
    except PermissionError as e:
        raise SettingsError(str(e)) from None
    except (OSError, ValueError) as e:
        raise SettingsError(f"{path}: {e}") from None
    table = whole.get("hosts", {})
    check(table, path)
    return table, secret or str(whole.get("shared_secret", ""))


def check(table: Any, where: str) -> None:
    """Raise SettingsError for an unknown key, or a value of another type or out of bounds."""
    if not isinstance(table, dict):
        raise SettingsError(f"{where}: hosts must be a table")
    value: Any
    for key, value in table.items():
        if key not in KNOWN:
            raise SettingsError(f"{where}: unknown setting {key!r} in hosts. Known: {', '.join(KNOWN)}")
        if not isinstance(value, KNOWN[key]) or (isinstance(value, bool) and KNOWN[key] is not bool):
            raise SettingsError(f"{where}: hosts.{key} must be of type {KNOWN[key].__name__}")
        limits = _LIMITS.get(key)
        if limits and isinstance(value, int) and not limits[0] <= value <= limits[1]:
            raise SettingsError(f"{where}: hosts.{key} must be from {limits[0]} to {limits[1]}")
