"""Qwen Code's hooks: what each event is to us, and the forms of the answers.

From runs of 0.24.4. Events and answers are Claude Code's, with three differences. UserPromptSubmit comes also before the model
is asked again after a tool, then with an empty prompt. No such hook runs for a message that came by the inbox socket. The hook
of a permission prompt runs before the terminal shows it. The host writes ``<`` of a frame's text as an entity.
"""

from __future__ import annotations

from bridges.known_hosts.claude_forms import context as context
from bridges.known_hosts.claude_forms import hold as hold
from bridges.known_hosts.claude_forms import permission as permission

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "qwen"
EVENTS = {
    "SessionStart": "start",
    "UserPromptSubmit": "prompt",
    "PreToolUse": "edit",
    "PostToolBatch": "tool",
    "AskPermission": "permit",
    "Stop": "stop",
    "SessionEnd": "end",
}
REPORTS = {
    "UserPromptSubmit": "turn_began",
    "BeforeTool": "tool_began",
    "AfterTool": "tool_ended",
    "PostToolUseFailure": "tool_ended",
    "PermissionRequest": "permission",
    "AskPermission": "permission",
    "StopFailure": "failed",
    "SessionEnd": "ended",
}
NEEDS = {"UserPromptSubmit": "prompt"}
TOOL_RAN = ("AfterTool",)
NOTIFIED = {"permission_prompt": "permission", "elicitation_dialog": "answer", "idle_prompt": "turn_ended"}
PERMISSION_S = 60
"""The time that the host gives the hook of a permission prompt. Its terminal shows the prompt only after that."""
STEP = "PostToolBatch"
"""Comes after all tools that an answer of the model calls, before the model is asked again."""
SILENT = ""
PROJECT_VARIABLE = "QWEN_PROJECT_DIR"
FIELDS: dict[str, str] = {}
WAKE = ""
SHARES_PROCESS = False
_CHANGE_FILES = ("edit", "write_file", "notebook_edit")


def edited(given: dict[str, Any]) -> list[str]:
    """The files that a tool call changes."""
    tool = given.get("tool_input")
    if given.get("tool_name") not in _CHANGE_FILES or not isinstance(tool, dict):
        return []
    return [path for key in ("file_path", "notebook_path") if isinstance(path := tool.get(key), str) and path]
