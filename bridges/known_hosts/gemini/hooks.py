"""Gemini CLI's hooks: what each event is to us, and the forms of the answers.

From docs/hooks/reference.md of 0.61.0. Standard output must be one JSON object and nothing else. The host writes ``<`` and
``>`` of added text as entities.
"""

from __future__ import annotations

import json

from bridges.known_hosts.claude_forms import context as context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "gemini"
EVENTS = {
    "SessionStart": "start",
    "BeforeAgent": "prompt",
    "AfterTool": "tool",
    "AfterAgent": "stop",
    "SessionEnd": "end",
}
REPORTS = {
    "BeforeAgent": "turn_began",
    "BeforeTool": "tool_began",
    "AfterTool": "tool_ended",
    "SessionEnd": "ended",
}
TOOL_RAN = ("AfterTool",)
NOTIFIED = {"ToolPermission": "permission"}
STEP = ""
"""It tells no end of a step."""
SILENT = "{}"
PROJECT_VARIABLE = "GEMINI_PROJECT_DIR"
FIELDS: dict[str, str] = {}
WAKE = ""
SHARES_PROCESS = False


def hold(text: str) -> str:
    """The answer to AfterAgent that makes the agent go on. The text becomes its next prompt."""
    return json.dumps({"decision": "deny", "reason": text})


def edited(given: dict[str, Any]) -> list[str]:
    """The file that the tool call changes. BeforeTool can't add context, so nothing is said before an edit."""
    tool = given.get("tool_input")
    path = tool.get("file_path") if given.get("tool_name") in ("write_file", "replace") and isinstance(tool, dict) else None
    return [path] if isinstance(path, str) and path else []
