"""What a relay and the process that runs the SDK say to each other beside MCP.

Both speak lines. A relay's first line is its hello. Every later line is one of the host's MCP messages or a *note*. A note
begins with ``{"relay":``, as no MCP message does:

    relay -> {"relay": {"hello": 1, "relay": ID, "project": PATH, "cwd": PATH, "name": NAME or null, "pid": N,
                        "version": TEXT, "environment": {...}, "state": what the last state note held, or null,
                        "rests": true}}                      it knows the note "rest" (absent in 0.3.0)
    relay <- {"relay": {"ready": VERSION}}
    relay <- {"relay": {"state": {...}}}     to be kept and said again in the hello to the next process
    relay <- {"relay": {"watching": true}}   the process hears of the agent's mail: the relay's own subscription ends
    relay <- {"relay": {"state": {...}, "rest": {"watch": REQUEST, "lock": PATH, "unread": N, "wake_s": S}}}
                                             nobody asks anything, so the process ends; all of "rest" may be absent. The relay
                                             subscribes to the agent's mail and holds the lock. It connects again when the host
                                             asks, when mail comes (or more than N is unread), and after S seconds
    relay -> {"relay": {"bye": true, "taken": BOOL}}
                                             the host closed its end. taken: it lives on and had taken all that was
                                             written to it, so it has what it was shown. Absent (0.3.0): true

The relay imports this module, so it imports nothing slow.
"""

from __future__ import annotations

import os

from broker.home.environment import HOST_SESSIONS, SHARED_SECRET
from broker.protocol import plain_json as json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

PROTOCOL = 1
NOTE = b'{"relay":'
LINE_BYTES = 64 * 1024 * 1024
"""The longest line; a longer one is refused."""
_ENVIRONMENT = ("HOME", "CLAUDECODE", "CLAUDE_PROJECT_DIR", SHARED_SECRET, *HOST_SESSIONS.values())
_PREFIX = "CLAUDE_CODE_"


def note(**fields: Any) -> bytes:
    """A note's line."""
    return NOTE + json.dumps(fields).encode() + b"}\n"


def read_note(line: bytes) -> dict[str, Any]:
    """The fields of a note. Raises ValueError."""
    try:
        value = json.loads(line)["relay"]
    except RecursionError:
        raise ValueError("a note is nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("a note holds an object")
    return value


def agent_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The variables of an agent's environment that its session may need, such as where its host can be woken."""
    return {name: value for name, value in env.items() if name in _ENVIRONMENT or name.startswith(_PREFIX)}


def folder_of_host(env: Mapping[str, str], cwd: str) -> str:
    """The folder that the agent's host works in.

    That is ours, too, but where we are the server of a plugin: a host starts such a server in the plugin's own folder.
    """
    plugin = env.get("PLUGIN_ROOT")
    if plugin and os.path.realpath(plugin) == os.path.realpath(cwd):
        try:
            return os.readlink(f"/proc/{os.getppid()}/cwd")
        except OSError:  # no /proc, or the host is gone
            pass
    return cwd


def project_folder(env: Mapping[str, str], cwd: str) -> str:
    """The project that an agent works on: the one its host names, or the folder it was started in."""
    return env.get("CLAUDE_PROJECT_DIR") or os.path.abspath(cwd)
