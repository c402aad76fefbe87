"""Kiro CLI's hooks: what each event is to us, and the forms of the answers.

By its documentation, of which ``host.toml`` says where it stands. What SessionStart and UserPromptSubmit print is added to the
model's context as it is; Stop can't hold the agent, and what PostToolUse prints is not read.
"""

from __future__ import annotations

from bridges.known_hosts.claude_forms import hold as hold

NAME = "kiro"
EVENTS = {"SessionStart": "start", "UserPromptSubmit": "prompt", "PostToolUse": "tool", "Stop": "stop"}
REPORTS = {"UserPromptSubmit": "turn_began", "PostToolUse": "tool_ended"}
MUTE = ("PostToolUse", "Stop")
TOOL_RAN = ("PostToolUse",)
NOTIFIED: dict[str, str] = {}
STEP = ""
SILENT = ""
PROJECT_VARIABLE = ""
FIELDS: dict[str, str] = {}
WAKE = ""
SHARES_PROCESS = False


def context(_event: str, text: str) -> str:
    """The answer that adds text to what the model reads next."""
    return text


def edited(given: dict[str, object]) -> list[str]:
    """The file that the tool call changes."""
    tool = given.get("tool_input")
    path = tool.get("path") if given.get("tool_name") in ("fs_write", "write") and isinstance(tool, dict) else None
    return [path] if isinstance(path, str) and path else []
