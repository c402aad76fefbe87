"""Claude Code's hooks: what each event is to us, and the forms of the answers.

From code.claude.com/docs/en/hooks and from runs of 2.1.332. An empty standard output with exit status 0 says nothing.
"""

from __future__ import annotations

import json

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
NOTIFIED = {"permission_prompt": "permission", "elicitation_dialog": "answer", "idle_prompt": "turn_ended"}
PERMISSION_S = 600
"""The time that the host gives the hook of a permission prompt, which its terminal shows meanwhile."""
STEP = "PostToolBatch"
"""Comes after all tools that an answer of the model calls, before the model is asked again."""
SILENT = ""
PROJECT_VARIABLE = "CLAUDE_PROJECT_DIR"


def context(event: str, text: str) -> str:
    """The answer that adds text to what the model reads next."""
    return json.dumps({"hookSpecificOutput": {"hookEventName": event, "additionalContext": text}})


def hold(text: str) -> str:
    """The answer to Stop that makes the agent go on. The agent reads the text as the reason."""
    return json.dumps({"decision": "block", "reason": text})


def edited(given: dict[str, Any]) -> list[str]:
    """The files that the tool call of a PreToolUse is about to change."""
    if given.get("tool_name") not in ("Edit", "Write", "MultiEdit", "NotebookEdit"):
        return []
    tool = given.get("tool_input")
    paths = [tool.get("file_path"), tool.get("notebook_path")] if isinstance(tool, dict) else []
    return [p for p in paths if isinstance(p, str) and p]
