"""A permission prompt of a host: the hook waits until the person has decided elsewhere (broker.core.permissions).

    decided        the host's answer is printed: allow, or deny with a sentence for the model
    anything else  nothing is printed, and the host asks at its terminal as it does without us

So a time that is over, a broker that is gone or too old, an input too long to be shown whole, and each surprise lead to the
terminal. The request is made once, over one connection; its entry ends with that, also when the host kills the hook.
"""

from __future__ import annotations

import os
import select
import time

from bridges.hosts.hook_log import note
from bridges.hosts.reports import input_mark
from broker.home import environment
from broker.protocol.errors import IpcError
from broker.protocol.permission_rows import SHOWN_CHARS, TOOL_CHARS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from bridges.hosts.agent_session import AgentSession
    from bridges.hosts.hook_event import HookEvent
    from broker.client.json_lines import QuickConnection

_MARGIN_S = 5.0
"""The hook ends so long before the host's time for it does."""
_LOOK_S = 1.0
"""How often it looks whether its host lives."""
_ANSWER_S = 2.0
_DENIED = "Your user has denied this call, from another place than this terminal."


def decided(event: HookEvent, session: AgentSession, door: QuickConnection, begun_s: float) -> str:
    """The host's answer; empty where nobody has decided."""
    if environment.key_file() or environment.endpoint():
        return ""
    tool, end_s = event.text("tool_name"), begun_s + event.host.PERMISSION_S - _MARGIN_S
    try:
        shown = event.exactly("tool_input")
    except ValueError as e:
        note(event.home, "warning", "permission_unreadable", tool=tool, error=str(e))
        return ""
    if len(tool) > TOOL_CHARS or len(shown) > SHOWN_CHARS:  # nobody decides on a part
        note(event.home, "info", "permission_too_long", tool=tool[:TOOL_CHARS], chars=len(tool) + len(shown))
        return ""
    asked = {
        "action": "permission_ask",
        "id": 1,
        "door": "hook",
        "session_token": session.binding.token,
        "call": os.urandom(16).hex(),  # one prompt, one decision: the same command asked for later is another
        "tool": tool,
        "shown": shown,
        "input": input_mark(event),
        "beside": bool(event.given.get("agent_id")),
        "wait_s": max(1.0, end_s - time.monotonic()),
    }
    try:
        reply = _reply(door, asked, end_s)
    except (OSError, ValueError, IpcError) as e:  # the broker is lost, and what it was to say with it
        note(event.home, "info", "permission_lost", tool=tool, error=str(e))
        return ""
    decision = reply.get("decision")
    note(event.home, "info", "permission", tool=tool, decision=decision, code=reply.get("code"))
    if decision not in ("allow", "deny"):
        return ""
    answer: str = event.host.permission(decision, _DENIED)
    return answer


def _reply(door: QuickConnection, asked: dict[str, Any], end_s: float) -> dict[str, Any]:
    """The broker's reply; empty where the time is over or the host is gone. Raises OSError, ValueError, IpcError."""
    host_process = os.getppid()
    door.send([asked], time.monotonic() + _ANSWER_S)
    while (left_s := end_s - time.monotonic()) > 0 and os.getppid() == host_process:
        if select.select([door], [], [], min(left_s, _LOOK_S))[0]:
            for told in door.receive(time.monotonic() + _ANSWER_S):
                if "push" not in told:
                    return told
    return {}
