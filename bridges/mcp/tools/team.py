"""Tools for working together: claims, and all that an agent says of itself."""

import json
from typing import Annotated, Any, Literal

from bridges import watch_words
from bridges.claim_names import resource_of
from bridges.fence import NOTES_LABEL, quoted
from bridges.mcp.render import fitting
from bridges.mcp.results import Done, Rows, Told, answer, done
from bridges.mcp.session import current
from bridges.mcp.tool_table import Arg, ToolResult, tool
from broker.protocol.actions import ACTIONS
from broker.protocol.essentials import AUTOCHECK_MINUTES
from broker.protocol.spans import span

_CLAIM = ACTIONS["claim"].field("ttl_s")
_Minutes = Annotated[int, Arg(ge=0, le=ACTIONS["autocheck"].field("minutes").most)]
_Manage = Literal[
    "watch_agent",
    "unwatch",
    "watches",
    "alarms",
    "presence",
    "group_create",
    "group_join",
    "group_leave",
    "block",
    "mute",
    "unblock",
    "autocheck",
    "withdraw",
    "dead_send",
    "dead_drop",
]


@tool(
    "Claim files you are about to edit (path or pattern such as src/api/**) so that others keep off; again "
    "renews, release ends it. list shows claims, of resource or all. A conflict says who holds it.",
    shape=Rows,
    idempotent=True,
)
async def claim(
    resource: str | None = None,
    do: Literal["claim", "release", "list"] = "claim",
    note: str | None = None,
    minutes: Annotated[float, Arg(ge=1, le=_CLAIM.most / 60)] = _CLAIM.default / 60,
    after: str | None = None,
) -> ToolResult:
    async def work() -> tuple[list[str], Told]:
        named = None if resource is None else resource_of(resource, current().agent.cwd)
        if do == "list" or (named is None and do == "claim"):
            return _claims((await current().request("claims", resource=named, all=True))["claims"], after)
        if do == "release":
            released = (await current().request("claim_release", resource=named))["released"]
            return [f"Released {released}."], Rows(message=f"Released {released}.", rows=[], more=0)
        answered = await current().request("claim", resource=named, ttl_s=minutes * 60, note=note)
        claimed, elsewhere = answered["claimed"], answered.get("elsewhere", [])
        text = f"Claimed {claimed['resource']} until {claimed['until']}."
        if not elsewhere:
            return [text], Rows(message=text, rows=[claimed], more=0)
        text += " Claimed at other sites, too:"
        return [text, *map(_line, elsewhere)], Rows(message=text, rows=[claimed, *elsewhere], more=0)

    return await answer(work)


def _claims(rows: list[dict[str, Any]], after: str | None) -> tuple[list[str], Rows]:
    """One page in the order of resources. ``after`` is the last resource of the page before."""
    rows = [r for r in rows if after is None or r["resource"] > after]
    shown = rows[: fitting([json.dumps(r) for r in rows])]
    label, more = NOTES_LABEL if rows else "Nothing is claimed.", len(rows) - len(shown)
    if more:
        label += f' {more} more: claim(do="list", after=the last resource here).'
    return [label, *map(_line, shown)], Rows(message=label, rows=shown, more=more)


def _line(row: dict[str, Any]) -> str:
    return f"{quoted(row['resource'], 512)}  {row['holder']} {_when(row)}  {_note(row)}"


def _when(row: dict[str, Any]) -> str:
    """Since when and until when; of a claim at another site when that site told of it."""
    return f"since {row['since']} until {row['until']}" if "since" in row else f"told {span(row['age_s'])} ago"


def _note(row: dict[str, Any]) -> str:
    return quoted(row["note"]) if row["note"] else ""


@tool(
    "presence: name=working|idle, note=on what. group_*: name=the group; send to its name posts. block, mute, "
    "unblock: name=a sender. autocheck: minutes 1-60, 0 stops. withdraw: name=id of your unread message. "
    "dead_send, dead_drop: name=id of a dead letter. "
    "watch_agent: tells you when name=an agent is note=idle ended failed stuck joins, or edits/claims/releases PATTERN; "
    "words each, wake. unwatch: name=its number. alarms: who is stuck.",
    shape=Done,
    idempotent=True,
)
async def manage(
    do: _Manage,
    name: str | None = None,
    note: str | None = None,
    minutes: _Minutes = AUTOCHECK_MINUTES,
) -> ToolResult:
    async def work() -> tuple[list[str], Told]:
        return managed(await current().request(**_request(do, name, note, minutes)))

    return await answer(work)


def _request(do: str, name: str | None, note: str | None, minutes: int) -> dict[str, Any]:
    if do == "presence":
        return {"action": "presence", "state": name, "note": note}
    if do == "autocheck":
        return {"action": "autocheck", "minutes": minutes}
    if do == "watch_agent":
        return {"action": do, "name": name, **watch_words.fields_of((note or "").split(), current().agent.cwd)}
    if do == "unwatch":
        number = int(name) if name is not None and name.isdecimal() else name
        return {"action": "unwatch_agent", "watch_id": number}
    if do in ("watches", "alarms"):
        return {"action": do}
    if do == "withdraw":
        return {"action": "withdraw", "withdraw_id": name}
    if do == "dead_send":
        return {"action": "dead_send", "dead_id": name}
    if do == "dead_drop":
        return {"action": "dead_drop", "ids": [name]}
    if do in ("block", "mute"):
        return {"action": "block", "name": name, "mode": do}
    return {"action": do, ("name" if do == "unblock" else "group"): name}


def managed(reply: dict[str, Any]) -> tuple[list[str], Done]:
    """A reply as a tool's result. A reply without a sentence gets one."""
    if "presence" in reply:
        reply["message"] = f"You are {reply['presence']}{': ' + reply['note'] if reply['note'] else ''}"
    elif "watch" in reply:
        reply["message"] = watch_words.sentence(reply["watch"])
    elif "watches" in reply:
        reply["message"] = "; ".join(watch_words.sentence(row) for row in reply["watches"]) or "You watch nobody"
    elif "dropped" in reply:
        reply["message"] = f"Dropped {reply['dropped']}"
    elif "alarms" in reply:
        reply["message"] = "; ".join(f"{row['name']} {quoted(row['evidence'])}" for row in reply["alarms"]) or "Nobody is stuck"
    elif "autocheck" in reply:
        every = f" every {reply['minutes']} minutes" if "minutes" in reply else ""
        reply["message"] = f"Automatic checks are {reply['autocheck']}{every}"
    elif "withdrawn" in reply:
        reply["message"] = f"Withdrawn from {reply['withdrawn']}" if reply["withdrawn"] else "Too late: it has been delivered"
    return done(reply)


TOOLS = (claim, manage)
