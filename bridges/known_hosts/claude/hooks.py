"""Claude Code's hooks: what each event is to us, and the forms of the answers.

From code.claude.com/docs/en/hooks and from runs of 2.1.332. An empty standard output with exit status 0 says nothing.
"""

from __future__ import annotations

from bridges.known_hosts.claude_forms import context as context
from bridges.known_hosts.claude_forms import hold as hold
from bridges.known_hosts.claude_forms import permission as permission

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "claude"
EVENTS = {
    "SessionStart": "start",
    "UserPromptSubmit": "prompt",
    "PreToolUse": "edit",
    "PostToolBatch": "tool",
    "PostToolUse": "tool",
    "AskPermission": "permit",
    "Stop": "stop",
    "SessionEnd": "end",
}
REPORTS = {
    "UserPromptSubmit": "turn_began",
    "BeforeTool": "tool_began",
    "AfterTool": "tool_ended",
    "PostToolUse": "tool_ended",
    "PostToolUseFailure": "tool_ended",
    "PermissionRequest": "permission",
    "AskPermission": "permission",
    "StopFailure": "failed",
    "SessionEnd": "ended",
}
TOOL_RAN = ("PostToolUse", "AfterTool")
NOTIFIED = {"permission_prompt": "permission", "elicitation_dialog": "answer", "idle_prompt": "turn_ended"}
PERMISSION_S = 600
"""The time that the host gives the hook of a permission prompt, which its terminal shows meanwhile."""
STEP = "PostToolBatch"
"""Comes after all tools that an answer of the model calls, before the model is asked again."""
SILENT = ""
PROJECT_VARIABLE = "CLAUDE_PROJECT_DIR"
FIELDS: dict[str, str] = {}
WAKE = ""
SHARES_PROCESS = False
BESIDE = {
    "CLAUDE_CODE_MESSAGING_SOCKET": (
        "ListAgents and SendMessage know only running Claude sessions; the ipc tools reach every name."
    )
}
"""What the start's line adds where the variable is set: a session whose messages to other sessions are off has neither it nor
ListAgents (2.1.332)."""


def edited(given: dict[str, Any]) -> list[str]:
    """The files that the tool call of a PreToolUse is about to change."""
    if given.get("tool_name") not in ("Edit", "Write", "MultiEdit", "NotebookEdit"):
        return []
    tool = given.get("tool_input")
    paths = [tool.get("file_path"), tool.get("notebook_path")] if isinstance(tool, dict) else []
    return [p for p in paths if isinstance(p, str) and p]
