"""Which of our tools a host may call without asking its user, in each host's own form.

That is all but ``share_file``, which reads a file of the user's for another agent. The host asks its user for that one in every
mode. ``say`` shares no file itself and points to ``share_file``.
"""

from __future__ import annotations

import json
from typing import Any

ALLOWED = (
    "ask",
    "broadcast",
    "check",
    "claim",
    "history",
    "list_instances",
    "manage",
    "register",
    "rename",
    "reply",
    "say",
    "send",
    "share_command",
)
ASKED = ("share_file",)
_REASON = "allowed at ipc install claude; ipc install claude --no-allow takes it back"
POLICY_MARK = "# of agent-ipc: ipc install gemini writes it, ipc uninstall gemini removes it\n"
MODES = {
    ("claude", True): "allowed in the modes default, auto and dontAsk, also of claude -p; in plan mode only what reads",
    ("claude", False): "claude -p refuses them in every mode but bypassPermissions, and interactive modes ask",
    ("gemini", True): "allowed, with gemini -p too",
    ("gemini", False): "gemini -p has none of them but with --yolo, and interactive modes ask",
    ("codex", True): "allowed in every mode",
    ("codex", False): "as Codex CLI has it: no prompt in codex exec and in trusted folders",
}


def sentence() -> str:
    """The tools that are allowed and those that are asked for, in a sentence."""
    return f"without asking: {', '.join(ALLOWED)}; asking you each time: {', '.join(ASKED)}"


def claude_hooks() -> dict[str, list[dict[str, Any]]]:
    """A hook of the plugin that allows these tools. It starts no program of ours."""
    answer = {
        "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "permissionDecision": "allow",
            "permissionDecisionReason": _REASON,
        }
    }
    matcher = f"^mcp__plugin_agent-ipc_ipc__({'|'.join(ALLOWED)})$"
    return {"PreToolUse": [{"matcher": matcher, "hooks": [{"type": "command", "command": f"echo '{json.dumps(answer)}'"}]}]}


def gemini_policy() -> str:
    """The text of a policy file that is ours alone. The host takes bare names of tools for mistyped ones of its own."""
    rules = [f'[[rule]]\ntoolName = "mcp_ipc_{tool}"\ndecision = "allow"\npriority = 100\n' for tool in ALLOWED]
    return "\n".join([POLICY_MARK, *rules])


def codex_tools() -> dict[str, Any]:
    """The value of ``tools`` in our server's table."""
    modes = dict.fromkeys(ALLOWED, "approve") | dict.fromkeys(ASKED, "prompt")
    return {tool: {"approval_mode": mode} for tool, mode in modes.items()}
