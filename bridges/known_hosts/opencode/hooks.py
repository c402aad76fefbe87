"""opencode's hooks: what each event is to us, and the forms of the answers.

From runs of 1.18.33. The words for events and fields are ours: our plugin (files/agent-ipc.js) calls us, and reads the answers.
"""

from __future__ import annotations

from bridges.known_hosts.claude_forms import context as context
from bridges.known_hosts.claude_forms import hold as hold
from bridges.known_hosts.claude_forms import permission as permission
from bridges.known_hosts.patch_files import changed_by

NAME = "opencode"
EVENTS = {word: word for word in ("start", "prompt", "edit", "tool", "permit", "stop", "end")}
_REPORTS = ("tool_began", "tool_ended", "permission", "answer", "sign", "turn_ended", "failed")
REPORTS = {"prompt": "turn_began", "tool": "tool_ended", "permit": "permission", "end": "ended"} | {r: r for r in _REPORTS}
TOOL_RAN = ("tool",)
NOTIFIED: dict[str, str] = {}
PERMISSION_S = 600
"""The time that our plugin gives the hook of a permission prompt, which the terminal shows meanwhile."""
STEP = ""
"""It tells no end of a step."""
SILENT = ""
PROJECT_VARIABLE = ""
FIELDS: dict[str, str] = {}
WAKE = ""
SHARES_PROCESS = True


def edited(given: dict[str, object]) -> list[str]:
    """The files that a tool call changes. Which of the tools a session has depends on its model."""
    name, tool = given.get("tool_name"), given.get("tool_input")
    if not isinstance(tool, dict):
        return []
    path = tool.get("filePath") if name in ("edit", "write") else None
    return [path] if isinstance(path, str) and path else changed_by(tool.get("patchText") if name == "apply_patch" else None)
