"""The forms of a hook's answers as Claude Code has them. Other hosts took them over."""

from __future__ import annotations

import json


def context(event: str, text: str) -> str:
    """The answer that adds text to what the model reads next."""
    return json.dumps({"hookSpecificOutput": {"hookEventName": event, "additionalContext": text}})


def hold(text: str) -> str:
    """The answer to Stop that makes the agent go on. It reads the text as the reason, or as its next prompt."""
    return json.dumps({"decision": "block", "reason": text})


def permission(decision: str, reason: str) -> str:
    """The answer to PermissionRequest: ``allow``, or ``deny`` with a reason for the model."""
    told = {"behavior": decision} | ({"message": reason} if decision == "deny" else {})
    return json.dumps({"hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": told}})
