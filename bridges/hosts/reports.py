"""What a hook reports of its host to the broker: turns, tool calls, questions to the user, the end.

A host's module names its events (``REPORTS``) and, by the kind of a notification, what that means (``NOTIFIED``).
``BeforeTool`` is the word of our hook for all tools, beside that for files that others have claimed. ``AskPermission`` is that
of the hook that waits for the person's decision, in place of the one that only reports the prompt. What a subagent does is a
sign of its leader, and its questions to the user are its leader's; its turns are not.
"""

from __future__ import annotations

import json
import os
from binascii import crc32

from bridges.mail_evidence import gives_mail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bridges.hosts.hook_event import HookEvent

_OF_SUBAGENTS = {"tool_began": "sign", "tool_ended": "sign", "permission": "permission", "answer": "answer"}
_ASKS_ITS_USER = frozenset(
    {"AskUserQuestion", "ExitPlanMode", "ask_question", "ask_user", "request_user_input", "ask_user_question", "exit_plan_mode"}
)
"""Tools of hosts that wait for an answer of the user."""
_TEXT, _PATHS, _PATH = 128, 64, 4096


def report_of(event: HookEvent) -> dict[str, Any] | None:
    """The fields of the report; None where there is nothing to tell."""
    host = event.host
    told: str = host.REPORTS.get(event.called, "") or host.NOTIFIED.get(event.text("notification_type"), "")
    subagent = bool(event.given.get("agent_id"))
    tool = event.text("tool_name")
    if told in ("tool_began", "permission") and tool in _ASKS_ITS_USER:
        told = "answer"
    ended = told == "tool_ended"
    if subagent:
        told = _OF_SUBAGENTS.get(told, "")
    if not told:
        return None
    report: dict[str, Any] = {"event": told}
    if tool:
        report["tool"] = tool[:_TEXT]
    if call := event.text("tool_use_id"):
        report["call"] = call[:_TEXT]
    if told == "tool_ended" and not gives_mail(tool):
        report["digest"] = digest(event)
    if ended:
        report["input"] = input_mark(event)
    if event.called in host.TOOL_RAN and (paths := changed(event)):
        report["paths"] = paths
    return report


def digest(event: HookEvent) -> str:
    """A short hash of a tool call and its result. Equal ones are told apart by nothing that matters here."""
    given = [event.given.get(key) for key in ("tool_name", "tool_input", "tool_response", "error")]
    if isinstance(given[2], dict) and "llmContent" in given[2]:
        given[2] = given[2]["llmContent"]  # Gemini adds the whole screen
    return _hash(given)


def input_mark(event: HookEvent) -> str:
    """A short hash of a tool and its input: by it a prompt's call is known again, since prompts carry no id of the call."""
    return _hash([event.given.get("tool_name"), event.given.get("tool_input")])


def _hash(given: list[Any]) -> str:
    raw = json.dumps(given, sort_keys=True).encode()
    return f"{crc32(raw):08x}-{len(raw):x}"


def changed(event: HookEvent) -> list[str]:
    """The files that the tool call has changed, from the root."""
    folder = event.folder() or event.project
    paths = [os.path.normpath(os.path.join(folder, path)) for path in event.host.edited(event.given)]
    return [path for path in paths if len(path) <= _PATH][:_PATHS]
