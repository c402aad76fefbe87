"""Antigravity CLI's hooks: what each event is to us, and the forms of the answers.

By its documentation, of which ``host.toml`` says where it stands. PreInvocation comes before each request to the model, so it
also tells that a step is over. Whether a session's start is told depends on the version: the first request begins it.
"""

from __future__ import annotations

import json

NAME = "antigravity"
EVENTS = {"PreInvocation": "tool", "Stop": "stop"}
REPORTS = {"PreInvocation": "turn_began"}
TOOL_RAN: tuple[str, ...] = ()
NOTIFIED: dict[str, str] = {}
STEP = "PreInvocation"
SILENT = "{}"
PROJECT_VARIABLE = ""
FIELDS = {"session_id": "conversationId"}
WAKE = ""
SHARES_PROCESS = False


def context(_event: str, text: str) -> str:
    """The answer that adds text to what the model reads next."""
    return json.dumps({"injectSteps": [{"ephemeralMessage": text}]})


def hold(text: str) -> str:
    """The answer to Stop that makes the agent go on."""
    return json.dumps({"decision": "continue", "reason": text})


def edited(_given: dict[str, object]) -> list[str]:
    """None: hooks at tools are not used."""
    return []
