"""What agents do, as their hosts' hooks tell it.

    event         state afterwards
    began         idle          a session began, or goes on
    turn_began    working
    sign          as before     such as a subagent's call
    tool_began    working       the call runs until tool_ended
    tool_ended    working
    permission    permission    its user must allow a tool call
    answer        answer        its user must answer
    turn_ended    idle
    failed        failed        the turn broke off
    ended         ended         the session ended: only began or turn_began lead on

Hooks are processes of their own, and some run beside the turn, so what began may be told after it has ended. A call is known by
its key: one that has ended does not begin. For a moment after a question to the user, calls that began before it may be told.
"""

from typing import Any

from broker.core import permissions
from broker.core.agent_watches import happened
from broker.core.batch import Batch, Incoming
from broker.core.facts import WAITING, Activity, Call
from broker.core.looks import heard
from broker.core.presence import alarm_of, presence_of
from broker.core.state import Mailbox, Session
from broker.core.turns import AT_WORK
from broker.core.wakes import turn_over
from broker.core.ways import sign
from broker.protocol.errors import IpcError

_LEADS_TO = {
    "began": "idle",
    "turn_began": "working",
    "sign": "",
    "tool_began": "working",
    "tool_ended": "working",
    "permission": "permission",
    "answer": "answer",
    "turn_ended": "idle",
    "failed": "failed",
    "ended": "ended",
}
_PRESENCE = {
    "idle": "idle",
    "working": "working",
    "permission": "working",
    "answer": "working",
    "failed": "idle",
    "ended": "gone",
}
_ANEW = ("began", "turn_began", "turn_ended", "failed", "ended")
"""Events after which no tool call of before runs."""
_LATE_S = 2.0
"""Seconds by which a hook that runs beside the turn may be behind the next that does not."""
_REMEMBERED_S = 60.0
"""Seconds for which a call is known that ended before it was told to have begun."""
_CALLS = 64
_PATH_CHARS = 4096


def report(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """Take over what a hook tells."""
    body, mailbox = request.body, session.mailbox
    paths = body.get("paths") or []
    if not all(isinstance(path, str) and 0 < len(path) <= _PATH_CHARS for path in paths):
        raise IpcError("bad_request", detail=f"paths is a list of texts of at most {_PATH_CHARS} characters")
    told = after(mailbox.activity, body["event"], batch.now.term_s, body.get("tool") or "", body.get("call") or "")
    if body["event"] == "tool_ended" and body.get("digest"):
        same = told.digest == body["digest"]
        told = told._replace(digest=body["digest"], repeats=told.repeats + 1 if same else 1, acted_s=batch.now.term_s)
    keep(batch, mailbox, told)
    permissions.went_on(batch, mailbox, body["event"], body.get("input") or "")
    for path in paths:
        happened(batch, mailbox, "edits", path)
    return {"presence": presence_of(batch, mailbox)}


def keep(batch: Batch, mailbox: Mailbox, told: Activity) -> None:
    """Make it the agent's activity; its presence follows."""
    before = mailbox.activity
    batch.journal.set(mailbox, "activity", told)
    batch.store.save_activity(mailbox.id, told)
    if told.state in AT_WORK:
        sign(batch, mailbox)
    elif before.state in AT_WORK:
        turn_over(batch, mailbox)
    presence = _PRESENCE.get(told.state, mailbox.presence)
    if presence != mailbox.presence and (told.state != before.state or mailbox.presence == "gone"):
        batch.journal.set(mailbox, "presence", presence)
        batch.journal.set(mailbox, "note", "")  # a note belongs to the state it was said with
        batch.store.save_mailbox(mailbox)
    heard(batch, mailbox)
    if told.state == before.state:
        return
    if told.state == "idle" and before.state == "ended":
        happened(batch, mailbox, "joins", mailbox.name)
    elif told.state in ("idle", "failed", "ended") and before.state:
        happened(batch, mailbox, told.state)


def after(now: Activity, event: str, at_s: float, tool: str = "", key: str = "") -> Activity:
    """The activity that follows from an event."""
    calls = now.calls
    if event in _ANEW:
        calls = tuple(call for call in calls if not call.tool)
    elif event == "tool_began":
        calls = _begun(calls, Call(key or tool, tool or "a tool", at_s))
        if calls is now.calls:
            return now._replace(event_s=at_s)
    elif event == "tool_ended":
        calls = _over(calls, key or tool, at_s, known=bool(key))
    state = now.state if _holds(now, event, at_s, tool) else _LEADS_TO[event] or "working"
    told = now._replace(state=state, event_s=at_s, calls=calls)
    if state != now.state or event in _ANEW:
        told = told._replace(since_s=at_s)
    if event in ("began", "turn_began"):
        told = told._replace(digest="", repeats=0)
    if (event in WAITING and state != now.state) or (tool and (event in WAITING or state not in WAITING)):
        told = told._replace(tool=tool)
    return told


def allowed(now: Activity, at_s: float) -> Activity:
    """The activity once the call that its user was asked about is seen to run. No host tells that it was allowed."""
    return now._replace(state="working", since_s=at_s, event_s=at_s)


def _begun(calls: tuple[Call, ...], call: Call) -> tuple[Call, ...]:
    """The calls once this one began; the same ones where it is known to have ended.

    Calls of one step begin together. What began before that has ended, also where the host tells nothing of a refused call.
    """
    if any(one.key == call.key and not one.tool for one in calls):
        return calls
    beside = (one for one in calls if one.key != call.key and (not one.tool or call.since_s - one.since_s < _LATE_S))
    return (*beside, call)[-_CALLS:]


def _over(calls: tuple[Call, ...], key: str, at_s: float, *, known: bool) -> tuple[Call, ...]:
    """The calls once the one of that key has ended. If it was not told to have begun, it may be yet."""
    rest = tuple(one for one in calls if one.key != key and (one.tool or at_s - one.since_s < _REMEMBERED_S))
    early = known and all(one.key != key for one in calls)
    return (*rest, Call(key, "", at_s))[-_CALLS:] if early else rest


def _holds(now: Activity, event: str, at_s: float, tool: str) -> bool:
    """True where the event leaves the state as it is: a session that ended, or a question to the user that still waits."""
    if now.state == "ended":
        return event not in ("began", "turn_began")
    if now.state in ("idle", "failed") and event == "tool_ended":  # its hook runs beside the turn, and may end after it
        return at_s - now.since_s < _LATE_S
    if now.state not in WAITING:
        return event == "sign"
    if event == "tool_began":
        return at_s - now.since_s < _LATE_S
    return event in ("tool_ended", "sign") and now.tool not in ("", tool)


def standing_of(batch: Batch, mailbox: Mailbox) -> str:
    """For those who ask it something: ``working``, ``idle``, ``away`` or ``stuck``."""
    if alarm_of(batch, mailbox) is not None:
        return "stuck"
    presence = presence_of(batch, mailbox)
    return {"gone": "away", "idle": "idle"}.get(presence, "working")
