"""The tool ``say``: plain words for everything."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bridges.fence import one_line
from bridges.mcp.render import fitting, mail_text
from bridges.mcp.results import answer_mail
from bridges.mcp.session import current
from bridges.mcp.tool_table import ToolResult, tool
from bridges.mcp.tools.team import managed

if TYPE_CHECKING:
    from bridges.plain_words import Plan


@tool(
    "Do what your user says in plain words, such as 'msg fred: hi' or 'start auto checking'. Asks back where "
    "unsure; confirm=true takes that as yes.",
)
async def say(text: str, confirm: bool = False) -> ToolResult:
    async def work() -> str:
        return await _said(text, confirm)

    return await answer_mail(work, footer=True)


async def _said(text: str, confirm: bool) -> str:
    from bridges.plain_words import carry_out_async, saying, vocabulary  # takes 0.1 s

    session = current()
    registered = await session.registered()
    words = await asyncio.to_thread(vocabulary, session.home)
    steps = saying(text, words, lambda plan: not _instead(plan, confirm), registered=registered)
    said = await carry_out_async(steps, _request)
    if said.replies is None:
        return _instead(said.plan, confirm)
    sentences = []
    for request, reply in zip(said.plan.requests, said.replies, strict=True):
        if request["action"] == "ask":
            sentences.append(f"{reply['message']}. The answer to question {reply['message_id']} will come as mail.")
        else:
            sentences += [mail_text(reply)] if "messages" in reply else [one_line(line) for line in _sentences(reply)]
    return "\n".join([f"Understood: {_shown(said.plan)}", *sentences])


def _instead(plan: Plan, confirm: bool) -> str:
    """What to answer in place of doing it; empty if it is to be done."""
    from bridges.plain_words import SHARE_FILE, help_text

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
    return ""


def _shown(plan: Plan) -> str:
    slots = ", ".join(f"{k}={v!r}" for k, v in plan.understood.items() if k != "intent")
    return one_line(f"{plan.understood['intent']}({slots})")


async def _request(request: dict[str, Any]) -> dict[str, Any]:
    session = current()
    if request["action"] == "register":
        return await session.register(request["instance_id"])
    return await session.request(**request)


def _sentences(reply: dict[str, Any]) -> list[str]:
    if "instances" in reply:
        rows = [f"{r['id']}  {r['presence']}" for r in reply["instances"]]
        shown = rows[: fitting(rows)]
        return [*shown, f"{len(rows) - len(shown)} more: call list_instances"] if len(shown) < len(rows) else shown
    if "instance_id" in reply:
        return [f"You are {reply['instance_id']}, {reply['queued']} unread."]
    return managed(reply)[0]


TOOLS = (say,)
