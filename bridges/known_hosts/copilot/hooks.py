"""Copilot CLI's hooks: what each event is to us, and the forms of the answers.

From runs of 1.0.102 and docs.github.com/copilot/reference/copilot-cli-reference/cli-hooks-reference. A session begins with its
first prompt. A hook before a tool that fails denies the call, so the commands in files/ can't fail there. ``permissionRequest``
is not used: it comes before the host asks its own rules, also for calls that they allow. ``AskPermission`` is the word of our
extension (files/extension.mjs).
"""

from __future__ import annotations

import json

from bridges.known_hosts.claude_forms import hold as hold
from bridges.known_hosts.patch_files import changed_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "copilot"
EVENTS = {
    "sessionStart": "start",
    "userPromptSubmitted": "prompt",
    "preToolUse": "edit",
    "postToolUse": "tool",
    "postToolUseFailure": "tool",
    "AskPermission": "permit",
    "agentStop": "stop",
    "sessionEnd": "end",
}
REPORTS = {
    "userPromptSubmitted": "turn_began",
    "BeforeTool": "tool_began",
    "postToolUse": "tool_ended",
    "postToolUseFailure": "tool_ended",
    "AskPermission": "permission",
    "sessionEnd": "ended",
}
TOOL_RAN = ("postToolUse",)
NOTIFIED = {"permission_prompt": "permission", "elicitation_dialog": "answer"}
PERMISSION_S = 600
"""Our extension waits as long as the hook does. The terminal shows the prompt meanwhile, a second later."""
STEP = ""
"""It tells no end of a step."""
SILENT = ""
PROJECT_VARIABLE = "COPILOT_PROJECT_DIR"
FIELDS = {
    "session_id": "sessionId",
    "agent_id": "agentId",
    "tool_name": "toolName",
    "tool_input": "toolArgs",
    "tool_response": "toolResult",
}
WAKE = ""
SHARES_PROCESS = True


def context(_event: str, text: str) -> str:
    """The answer that adds text to what the model reads next."""
    return json.dumps({"additionalContext": text})


def permission(decision: str, reason: str) -> str:
    """The answer to our extension, in the form of the host's SDK."""
    return json.dumps({"kind": "approve-once"} if decision == "allow" else {"kind": "reject", "feedback": reason})


def edited(given: dict[str, Any]) -> list[str]:
    """The files that a tool call changes. Which of the tools a session has depends on its model."""
    name, tool = given.get("tool_name"), given.get("tool_input")
    if name == "apply_patch":
        return changed_by(tool)
    path = tool.get("path") if name in ("create", "edit") and isinstance(tool, dict) else None
    return [path] if isinstance(path, str) and path else []
