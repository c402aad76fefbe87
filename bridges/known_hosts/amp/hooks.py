"""Amp's events: what each is to us. Our plugin (files/agent-ipc.ts) names the events and their fields, as Claude Code does.

By the documentation of its plugins, of which ``host.toml`` says where it stands.
"""

from __future__ import annotations

from bridges.known_hosts.claude_forms import context as context
from bridges.known_hosts.claude_forms import hold as hold

NAME = "amp"
EVENTS = {
    "SessionStart": "start",
    "UserPromptSubmit": "prompt",
    "PostToolUse": "tool",
    "Stop": "stop",
    "SessionEnd": "end",
}
REPORTS = {
    "UserPromptSubmit": "turn_began",
    "BeforeTool": "tool_began",
    "PostToolUse": "tool_ended",
    "Interrupt": "turn_ended",
    "StopFailure": "failed",
    "SessionEnd": "ended",
}
TOOL_RAN = ("PostToolUse",)
NOTIFIED: dict[str, str] = {}
STEP = ""
SILENT = ""
PROJECT_VARIABLE = ""
FIELDS: dict[str, str] = {}
WAKE = ""
SHARES_PROCESS = True


def edited(given: dict[str, object]) -> list[str]:
    """The file that the tool call changes."""
    tool = given.get("tool_input")
    path = tool.get("path") if given.get("tool_name") in ("create_file", "edit_file") and isinstance(tool, dict) else None
    return [path] if isinstance(path, str) and path else []
