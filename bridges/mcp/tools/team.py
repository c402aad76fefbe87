"""Tools for working together: claims, and all that an agent says of itself; and plain words for everything."""

import json
from typing import Annotated, Any, Literal

from anyio import to_thread
from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult
from pydantic import Field

from bridges.claim_names import resource_of
from bridges.fence import NOTES_LABEL, one_line, quoted
from bridges.mcp.render import fitting, mail_text
from bridges.mcp.results import Answerer, Done, Rows, Told, done, hints
from bridges.mcp.sdk import current
from bridges.plain_words import CONTEXT, SHARE_FILE, Context, Plan, help_text, read_context, understand, vocabulary

_Manage = Literal["presence", "group_create", "group_join", "group_leave", "block", "mute", "unblock", "autocheck", "withdraw"]


def add_claims(server: MCPServer[None], answer: Answerer) -> None:
    @server.tool(
        annotations=hints(idempotent=True),
        description="Claim files you are about to edit (path or pattern such as src/api/**) so that others keep off; again "
        "renews, release ends it. list shows claims, of resource or all. A conflict says who holds it.",
    )
    async def claim(
        resource: str | None = None,
        do: Literal["claim", "release", "list"] = "claim",
        note: str | None = None,
        minutes: Annotated[float, Field(ge=1, le=1440)] = 30,
        after: str | None = None,
    ) -> Annotated[CallToolResult, Rows]:
        async def work() -> tuple[list[str], Told]:
            named = None if resource is None else resource_of(resource, current().agent.cwd)
            if do == "list" or (named is None and do == "claim"):
                return _claims((await current().request("claims", resource=named))["claims"], after)
            if do == "release":
                released = (await current().request("claim_release", resource=named))["released"]
                return [f"Released {released}."], Rows(message=f"Released {released}.", rows=[])
            claimed = (await current().request("claim", resource=named, ttl_s=minutes * 60, note=note))["claimed"]
            text = f"Claimed {claimed['resource']} until {claimed['until']}."
            return [text], Rows(message=text, rows=[claimed])

        return await answer(work)


def _claims(rows: list[dict[str, Any]], after: str | None) -> tuple[list[str], Rows]:
    """One page, in the order of resources; ``after`` is the last resource of the page before."""
    rows = [r for r in rows if after is None or r["resource"] > after]
    shown = rows[: fitting([json.dumps(r) for r in rows])]
    label, more = NOTES_LABEL if rows else "Nothing is claimed.", len(rows) - len(shown)
    if more:
        label += f' {more} more: claim(do="list", after=the last resource here).'
    lines = [f"{quoted(r['resource'], 512)}  {r['holder']} since {r['since']} until {r['until']}  {_note(r)}" for r in shown]
    return [label, *lines], Rows(message=label, rows=shown, more=more)


def _note(row: dict[str, Any]) -> str:
    return quoted(row["note"]) if row["note"] else ""


def add_manage(server: MCPServer[None], answer: Answerer) -> None:
    @server.tool(
        annotations=hints(idempotent=True),
        description="presence: name=working|idle, note=on what. group_*: name=the group; send to its name posts. block, mute, "
        "unblock: name=a sender. autocheck: minutes 1-60, 0 stops. withdraw: name=id of your unread message.",
    )
    async def manage(
        do: _Manage, name: str | None = None, note: str | None = None, minutes: Annotated[int, Field(ge=0, le=60)] = 5
    ) -> Annotated[CallToolResult, Done]:
        async def work() -> tuple[list[str], Told]:
            return _managed(await current().request(**_request(do, name, note, minutes)))

        return await answer(work)


def _request(do: str, name: str | None, note: str | None, minutes: int) -> dict[str, Any]:
    if do == "presence":
        return {"action": "presence", "state": name, "note": note}
    if do == "autocheck":
        return {"action": "autocheck_start", "minutes": minutes} if minutes else {"action": "autocheck_stop"}
    if do == "withdraw":
        return {"action": "withdraw", "withdraw_id": name}
    if do in ("block", "mute"):
        return {"action": "block", "name": name, "mode": do}
    return {"action": do, ("name" if do == "unblock" else "group"): name}


def _managed(reply: dict[str, Any]) -> tuple[list[str], Done]:
    """Replies without a sentence get one."""
    if "presence" in reply:
        reply["message"] = f"You are {reply['presence']}{': ' + reply['note'] if reply['note'] else ''}"
    elif "autocheck" in reply:
        every = f" every {reply['minutes']} minutes" if "minutes" in reply else ""
        reply["message"] = f"Automatic checks are {reply['autocheck']}{every}"
    elif "withdrawn" in reply:
        reply["message"] = f"Withdrawn from {reply['withdrawn']}" if reply["withdrawn"] else "Too late: it has been delivered"
    return done(reply)


def add_say(server: MCPServer[None], answer: Answerer) -> None:
    @server.tool(
        annotations=hints(),
        description="Do what your user says in plain words, such as 'msg fred: hi' or 'start auto checking'. Asks back where "
        "unsure; confirm=true takes that as yes.",
    )
    async def say(text: str, confirm: bool = False) -> CallToolResult:
        async def work() -> str:
            return await _said(text, confirm)

        return await answer.mail(work, footer=True)


async def _said(text: str, confirm: bool) -> str:
    session = current()
    context = Context()
    if await session.registered():
        context = read_context([await session.request(**request) for request in CONTEXT])
    words = await to_thread.run_sync(vocabulary, session.home)
    plan = understand(text, context, words)
    if plan.problem is not None:
        return f"{one_line(plan.problem)}. Next: {help_text()}"
    if plan.intent == "help":
        return help_text()
    if any(request["action"] == SHARE_FILE for request in plan.requests):
        return one_line(f"Understood: {_shown(plan)}. Nothing was sent: call share_file, for which your user is asked.")
    if plan.question is not None and not plan.requests:
        return one_line(f"{plan.question} Ask your user; then say it again with the text.")
    if plan.question is not None and not confirm:
        asked = f"{plan.question} Understood: {_shown(plan)}. Ask your user; then say it again with confirm=true."
        return one_line(asked)
    sentences = []
    for request in plan.requests:
        reply = await _carry_out(dict(request))
        if request["action"] == "ask":
            sentences.append(f"{reply['message']}. The answer to question {reply['message_id']} will come as mail.")
        else:
            sentences += [mail_text(reply)] if "messages" in reply else [one_line(line) for line in _sentences(reply)]
    return "\n".join([f"Understood: {_shown(plan)}", *sentences])


def _shown(plan: Plan) -> str:
    slots = ", ".join(f"{k}={v!r}" for k, v in plan.understood.items() if k != "intent")
    return one_line(f"{plan.understood['intent']}({slots})")


async def _carry_out(request: dict[str, Any]) -> dict[str, Any]:
    session = current()
    action = request.pop("action")
    if action == "register":
        return await session.register(request["instance_id"])
    if action in ("send", "ask", "reply"):
        request["person"] = True
    return await session.request(action, **request)


def _sentences(reply: dict[str, Any]) -> list[str]:
    if "instances" in reply:
        rows = [f"{r['id']}  {r['presence']}" for r in reply["instances"]]
        shown = rows[: fitting(rows)]
        return [*shown, f"{len(rows) - len(shown)} more: call list_instances"] if len(shown) < len(rows) else shown
    if "instance_id" in reply:
        return [f"You are {reply['instance_id']}, {reply['queued']} unread."]
    return _managed(reply)[0]
