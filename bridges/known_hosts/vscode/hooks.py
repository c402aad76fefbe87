"""VS Code's hooks: what each event is to us, and the forms of the answers.

By its documentation, of which ``host.toml`` says where it stands. UserPromptSubmit can't add text: what waits comes after the
first tool call of a turn.
"""

from __future__ import annotations

import json

from bridges.known_hosts.claude_forms import context as context

NAME = "vscode"
EVENTS = {"SessionStart": "start", "PostToolUse": "tool", "Stop": "stop"}
REPORTS = {"UserPromptSubmit": "turn_began", "PostToolUse": "tool_ended"}
TOOL_RAN = ("PostToolUse",)
NOTIFIED: dict[str, str] = {}
STEP = ""
SILENT = ""
PROJECT_VARIABLE = ""
FIELDS = {"session_id": "sessionId"}
WAKE = ""
SHARES_PROCESS = True


def hold(text: str) -> str:
    """The answer to Stop that makes the agent go on."""
    return json.dumps({"hookSpecificOutput": {"hookEventName": "Stop", "decision": "block", "reason": text}})


def edited(given: dict[str, object]) -> list[str]:
    """The files that the tool call changes."""
    tool = given.get("tool_input")
    files = tool.get("files") if given.get("tool_name") in ("editFiles", "createFile") and isinstance(tool, dict) else None
    return [path for path in files if isinstance(path, str) and path] if isinstance(files, list) else []
