"""Cursor CLI's hooks: what each event is to us, and the forms of the answers.

By its documentation, of which ``host.toml`` says where it stands. An event that it does not know voids its whole file, so
files/hooks.json has none but documented ones. beforeSubmitPrompt can't add text: what waits comes after the first tool call of
a turn.
"""

from __future__ import annotations

import json

NAME = "cursor"
EVENTS = {"sessionStart": "start", "postToolUse": "tool", "stop": "stop", "sessionEnd": "end"}
REPORTS = {
    "beforeSubmitPrompt": "turn_began",
    "postToolUse": "tool_ended",
    "postToolUseFailure": "tool_ended",
    "sessionEnd": "ended",
}
TOOL_RAN = ("postToolUse",)
NOTIFIED: dict[str, str] = {}
STEP = ""
SILENT = "{}"
PROJECT_VARIABLE = "CURSOR_PROJECT_DIR"
FIELDS = {"session_id": "conversation_id", "tool_response": "tool_output"}
WAKE = ""
SHARES_PROCESS = False


def context(_event: str, text: str) -> str:
    """The answer that adds text to what the model reads next."""
    return json.dumps({"additional_context": text})


def hold(text: str) -> str:
    """The answer to stop that makes the agent go on. The text becomes its next prompt."""
    return json.dumps({"followup_message": text})


def edited(given: dict[str, object]) -> list[str]:
    """The file that the tool call changes."""
    tool = given.get("tool_input")
    path = tool.get("file_path") if given.get("tool_name") in ("Write", "Edit") and isinstance(tool, dict) else None
    return [path] if isinstance(path, str) and path else []
