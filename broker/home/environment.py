"""What the environment says to programs that have no time to read settings.

This module names each variable that is read or set outside of ``broker.home.settings``.
"""

from __future__ import annotations

import os

HOME = "IPC_HOME"
PORT = "IPC_PORT"
NAME = "IPC_NAME"
KEY_FILE = "IPC_KEY_FILE"
SHARED_SECRET = "IPC_SHARED_SECRET"  # noqa: S105 (the variable's name)
_ENDPOINT = "IPC_ENDPOINT"
HOST_PROCESSES = ("IPC_HOST_PID", "CLAUDE_PID")
"""What names the process of the host to its hooks: our plugins of hosts that start them beside it, and Claude Code."""

FOR_AGENTS = (HOME, NAME, KEY_FILE, SHARED_SECRET)
"""What a host passes on to our programs."""

HOST_SESSIONS = {
    "claude": "CLAUDE_CODE_SESSION_ID",
    "codex": "CODEX_THREAD_ID",
    "gemini": "GEMINI_SESSION_ID",
    "copilot": "COPILOT_AGENT_SESSION_ID",
    "cline": "CLINE_SESSION_ID",  # our plugin sets it
    "kiro": "KIRO_SESSION_ID",  # what we print for it sets it
    "qwen": "QWEN_CODE_SESSION_ID",
    "opencode": "OPENCODE_SESSION_ID",
}
"""By host: the variable that names the session to what it starts."""
HOST_MARKS = (
    *HOST_SESSIONS.values(),
    "CLAUDECODE",
    "CODEX_SANDBOX",
    "CODEX_SANDBOX_NETWORK_DISABLED",
    "GEMINI_CLI",
    "COPILOT_CLI",
    "CLINE_CONNECTOR_CLI_LAUNCH",
    "QWEN_CODE",
    "OPENCODE",
)
"""Agents' hosts set at least one of these for the commands that they run."""
HOST_PROGRAMS = frozenset(HOST_SESSIONS)
"""How the hosts' processes are named where they are no interpreter's."""


def own_name() -> str | None:
    """The name that the user gave to the agents of this shell."""
    return os.environ.get(NAME) or None


def key_file() -> str | None:
    """The key file of another machine's broker. Without one, the broker is this machine's."""
    return os.environ.get(KEY_FILE) or None


def endpoint() -> str | None:
    """The ZeroMQ endpoint of the broker, where it is not the data folder's socket."""
    return os.environ.get(_ENDPOINT) or None


def shared_secret() -> str:
    """The secret that names are registered with, or nothing."""
    return os.environ.get(SHARED_SECRET, "")
