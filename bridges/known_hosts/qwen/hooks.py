"""Qwen Code's hooks: what each event is to us, and the forms of the answers.

From runs of 0.24.4. Events and answers are Claude Code's, with three differences. UserPromptSubmit comes also before the model
is asked again after a tool, then with an empty prompt. No such hook runs for a message that came by the inbox socket. The hook
of a permission prompt runs before the terminal shows it. The host writes ``<`` of a frame's text as an entity.
"""

from __future__ import annotations

import json
import os

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
WAKE = "socket"
SOCKET = "QWEN_CODE_MESSAGING_SOCKET"
LOOK_S = 60.0
"""Seconds that mail in its inbox has to begin a turn. A user's turn that began at the same moment goes first."""
SHARES_PROCESS = False
ANSWERED = '"type":"assistant"'
"""In each line of its record that holds an answer of the model."""
_TOKEN = "QWEN_CODE_MESSAGING_TOKEN"  # noqa: S105 (the variable's name)
_FOLDER = "QWEN_CODE_PROJECT_DIR"
_CHANGE_FILES = ("edit", "write_file", "notebook_edit")


def frames(text: str, session: str) -> bytes:
    """What puts a message for the session into its inbox socket: a JSON object a line. Nothing is answered.

    With the token it counts as from a process of the session, and is taken in every mode. ``fromName`` is shown to the user.
    """
    auth = {"msgV": 1, "type": "auth", "token": os.environ.get(_TOKEN, "")}
    message = {"role": "user", "content": text}
    rest = {"msgId": os.urandom(16).hex(), "fromName": "agent-ipc", "toSessionId": session, "priority": "next"}
    lines = (auth, {"msgV": 1, "type": "user", **rest, "message": message})
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def record(session: str) -> str:
    """The file in which it writes down the session's conversation."""
    return os.path.join(os.environ.get(_FOLDER, ""), "chats", f"{session}.jsonl")


def edited(given: dict[str, Any]) -> list[str]:
    """The files that a tool call changes."""
    tool = given.get("tool_input")
    if given.get("tool_name") not in _CHANGE_FILES or not isinstance(tool, dict):
        return []
    return [path for key in ("file_path", "notebook_path") if isinstance(path := tool.get(key), str) and path]
