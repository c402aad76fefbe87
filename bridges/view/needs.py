"""What waits for the person, the most pressing first. Page, terminal view and notifications show this one list.

    kind         from                                                           acted on by ``id``
    question     a question that a person was asked                             its message
                 an agent whose host shows it a question                        nothing: it is answered there
    permission   a tool call that a host wants allowed                          its permission
                 an agent whose host shows a prompt at its own terminal         nothing: it is allowed there
    stall        an alarm, or a turn that broke off                             nothing
    bounce       mail that ended unread                                         its dead letter
    done         an agent whose turn ended in the last ``DONE_S`` seconds       nothing

A need's ``key`` stays the same for as long as it is the same need, so what was told once is not told again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from bridges.fence import one_line, visible
from bridges.view.times import moment

__all__ = ["DONE_S", "KINDS", "Need", "needs_of"]

KINDS = ("question", "permission", "stall", "bounce", "done")
DONE_S = 900.0
_AT_ITS_HOST = {"permission": "permission", "answer": "question"}
"""State of an agent's activity: what its host asks of the person."""


class Need(NamedTuple):
    """One thing that waits for the person."""

    key: str
    kind: str
    name: str
    """The agent that it is about."""
    text: str
    """What it says, visible. Of a question and a permission these are an agent's words."""
    since: str
    """ISO 8601."""
    until: str = ""
    """ISO 8601: when it ends unanswered."""
    id: str = ""
    """What an answer names; empty where none can be given here."""
    tool: str = ""
    host: str = ""
    other: str = ""
    """Of a dead letter, its reader."""
    buttons: tuple[str, ...] = ()
    """Of a question, the answers that its asker proposes, as they were given."""


def needs_of(overview: dict[str, Any], person_name: str, dead: Iterable[dict[str, Any]] = ()) -> list[Need]:
    """All that waits for the person, by kind, the oldest first.

    ``dead``: rows of ``dead_letters``, which ``overview`` only counts.
    """
    found = [*_questions(overview, person_name), *_permissions(overview)]
    found += _at_their_hosts(overview, {need.name for need in found if need.kind == "permission"})
    found += _stalls(overview, {need.name for need in found if not need.id})
    found += [*_bounces(dead), *_done(overview)]
    return sorted(found, key=lambda need: (KINDS.index(need.kind), moment(need.since), need.key))


def _questions(overview: dict[str, Any], person_name: str) -> list[Need]:
    return [
        Need(
            f"question:{q['id']}", "question", q["from"], visible(q["content"]), q["asked_at"], q["deadline"], str(q["id"]),
            buttons=tuple(q.get("buttons", ())),
        )
        for q in overview.get("questions", ())
        if q.get("state") == "open" and (q.get("person") or q["to"] == person_name)
    ]  # fmt: skip


def _permissions(overview: dict[str, Any]) -> list[Need]:
    return [
        Need(
            f"permission:{p['id']}", "permission", p["name"], visible(p["shown"]), p["asked_at"], p["until"], str(p["id"]),
            tool=one_line(p["tool"]), host=one_line(p["host"]),
        )
        for p in overview.get("permissions", ())
    ]  # fmt: skip


def _at_their_hosts(overview: dict[str, Any], asked_here: set[str]) -> list[Need]:
    """Agents whose hosts ask at their own terminals, but for those whose prompt is shown here, too."""
    found = []
    for row in overview.get("agents", ()):
        activity = row.get("activity") or {}
        kind, since, tool = _AT_ITS_HOST.get(activity.get("state", "")), activity.get("since", ""), activity.get("tool", "")
        if kind is None or row["presence"] == "gone" or (kind == "permission" and row["id"] in asked_here):
            continue
        what = f"asks you to allow {one_line(tool) or 'a tool call'}" if kind == "permission" else "asks you something"
        found.append(Need(f"host:{row['id']}:{since}", kind, row["id"], f"{what}, in its own window", since))
    return found


def _stalls(overview: dict[str, Any], told: set[str]) -> list[Need]:
    """Alarms, but for those that say again that its host waits for the person, and turns that broke off.

    A person who has closed page and terminal view is away, and nothing that a person should see to.
    """
    persons = {row["id"] for row in overview.get("agents", ()) if row.get("person")}
    found = [
        Need(f"stall:{a['id']}", "stall", a["name"], one_line(a["evidence"]), a["since"])
        for a in overview.get("alarms", ())
        if not (a["kind"] in _AT_ITS_HOST and a["name"] in told) and a["name"] not in persons
    ]
    stuck = {need.name for need in found}
    for row in overview.get("agents", ()):
        activity = row.get("activity") or {}
        if activity.get("state") == "failed" and row["id"] not in stuck and row["presence"] != "gone":
            since = activity["since"]
            found.append(Need(f"failed:{row['id']}:{since}", "stall", row["id"], "broke its turn off", since))
    return found


def _bounces(dead: Iterable[dict[str, Any]]) -> list[Need]:
    return [
        Need(
            f"bounce:{d['id']}:{d['to']}", "bounce", d["from"],
            one_line(f"wrote {d['to']}, who did not read it: {d['why'] or d['ending']}"), d["at"], id=str(d["id"]),
            other=d["to"],
        )
        for d in dead
    ]  # fmt: skip


def _done(overview: dict[str, Any]) -> list[Need]:
    now_s = moment(overview.get("at", ""))
    found = []
    for row in overview.get("agents", ()):
        activity = row.get("activity") or {}
        since = activity.get("since", "")
        if activity.get("state") == "idle" and row["presence"] == "idle" and now_s - moment(since) <= DONE_S:
            found.append(Need(f"done:{row['id']}:{since}", "done", row["id"], "has finished its turn", since))
    return found
