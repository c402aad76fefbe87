"""Codex CLI's hooks: what each event is to us, and the forms of the answers.

From the JSON schemas inside the 0.169.0 program. They allow no property that they don't name: Stop's answer has no
``hookSpecificOutput``, and SessionEnd has no answer at all.
"""

from __future__ import annotations

from bridges.known_hosts.claude_forms import context as context
from bridges.known_hosts.claude_forms import hold as hold
from bridges.known_hosts.claude_forms import permission as permission
from bridges.known_hosts.patch_files import changed_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "codex"
EVENTS = {
    "SessionStart": "start",
    "UserPromptSubmit": "prompt",
    "PreToolUse": "edit",
    "PostToolUse": "tool",
    "AskPermission": "permit",
    "Stop": "stop",
    "SessionEnd": "end",
}
REPORTS = {
    "UserPromptSubmit": "turn_began",
    "BeforeTool": "tool_began",
    "PostToolUse": "tool_ended",
    "PermissionRequest": "permission",
    "AskPermission": "permission",
    "Interrupt": "turn_ended",
    "SessionEnd": "ended",
}
TOOL_RAN = ("PostToolUse",)
NOTIFIED: dict[str, str] = {}
PERMISSION_S = 60
"""The time that the host gives the hook of a permission prompt. Its terminal shows the prompt only after that."""
STEP = ""
"""It tells no end of a step."""
SILENT = ""
PROJECT_VARIABLE = "CODEX_PROJECT_DIR"
FIELDS: dict[str, str] = {}
WAKE = "queue"
LOOK_S = 20.0
"""Seconds that a queued notice has to begin a turn: the host looks at its queue every 10 s (0.171.0)."""
SHARES_PROCESS = True


def edited(given: dict[str, Any]) -> list[str]:
    """The files that the patch of a PreToolUse is about to change. A model may give it to the shell, too."""
    tool = given.get("tool_input")
    if given.get("tool_name") not in ("apply_patch", "Bash") or not isinstance(tool, dict):
        return []
    return changed_by(tool.get("command") or tool.get("input"))
