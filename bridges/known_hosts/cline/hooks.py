"""Cline CLI's hooks: what each event is to us. Our plugin names the events and their fields, as Claude Code does.

The scripts of ``~/.cline/hooks`` can do less: of 3.0.65, what PreToolUse and PostToolUse add reaches the model, and nobody
waits for the others.
"""

from __future__ import annotations

from bridges.known_hosts.claude_forms import context as context
from bridges.known_hosts.claude_forms import hold as hold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "cline"
EVENTS = {
    "SessionStart": "start",
    "UserPromptSubmit": "prompt",
    "PreToolUse": "edit",
    "PostToolUse": "tool",
    "Stop": "stop",
    "SessionEnd": "end",
}
REPORTS = {
    "UserPromptSubmit": "turn_began",
    "BeforeTool": "tool_began",
    "PreToolUse": "tool_began",
    "PostToolUse": "tool_ended",
    "Interrupt": "turn_ended",
    "StopFailure": "failed",
    "SessionEnd": "ended",
}
TOOL_RAN = ("PostToolUse",)
NOTIFIED: dict[str, str] = {}
STEP = ""
"""It tells no end of a step."""
SILENT = ""
PROJECT_VARIABLE = "CLINE_PROJECT_DIR"
FIELDS: dict[str, str] = {}
WAKE = ""
"""Its plugin runs ``ipc monitor``."""
SHARES_PROCESS = True
"""Its hub runs all sessions of a user."""


def edited(given: dict[str, Any]) -> list[str]:
    """The file that the tool call changes."""
    tool = given.get("tool_input")
    path = tool.get("path") if given.get("tool_name") == "editor" and isinstance(tool, dict) else None
    return [path] if isinstance(path, str) and path else []
