"""Goose's hooks: what each event is to us, and the forms of the answers.

By its documentation, of which ``host.toml`` says where it stands. It reads an answer at PreToolUse and Stop alone: no other
event can add text, so mail waits for the check tool, or for a turn's end if it is urgent.
"""

from __future__ import annotations

from bridges.known_hosts.claude_forms import context as context
from bridges.known_hosts.claude_forms import hold as hold

NAME = "goose"
EVENTS = {
    "SessionStart": "start",
    "UserPromptSubmit": "prompt",
    "PostToolUse": "tool",
    "Stop": "stop",
    "SessionEnd": "end",
}
REPORTS = {
    "UserPromptSubmit": "turn_began",
    "PostToolUse": "tool_ended",
    "PostToolUseFailure": "tool_ended",
    "SessionEnd": "ended",
}
MUTE = ("SessionStart", "UserPromptSubmit", "PostToolUse")
TOOL_RAN = ("PostToolUse",)
NOTIFIED: dict[str, str] = {}
STEP = ""
SILENT = ""
PROJECT_VARIABLE = "GOOSE_PROJECT_DIR"
FIELDS = {"cwd": "working_dir", "tool_use_id": "tool_call_id"}
WAKE = ""
SHARES_PROCESS = False


def edited(given: dict[str, object]) -> list[str]:
    """The file that the tool call changes."""
    tool = given.get("tool_input")
    named = given.get("tool_name") in ("developer__write", "developer__edit", "write", "edit")
    path = tool.get("path") if named and isinstance(tool, dict) else None
    return [path] if isinstance(path, str) and path else []
