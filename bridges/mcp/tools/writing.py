"""Tools that write mail, and the names it is written under."""

import asyncio
from typing import Annotated, Any, Literal, NotRequired

from bridges.fence import one_line
from bridges.mcp.render import mail_text
from bridges.mcp.results import (
    Data,
    Done,
    Id,
    Name,
    Own,
    To,
    Told,
    Wait,
    answer,
    answer_mail,
    done,
    message_of,
    number_in,
    unreached,
)
from bridges.mcp.session import current
from bridges.mcp.tool_table import Arg, ToolResult, tool
from bridges.plurals import number_of
from bridges.shared_files import read_file
from broker.protocol.actions import ACTIONS

_DEADLINE = ACTIONS["ask"].field("deadline_s")
Land = Literal["interrupt", "tool", "turn", "digest"] | None
When = Annotated[Land, Arg(description="at once; after a tool call (default); when the turn ends; with other mail")]


class Named(Told):
    """Who this session is now."""

    name: str
    queued: NotRequired[int]


class Broadcasted(Told):
    """How many it went to."""

    message_id: str
    count: int


@tool(
    "Take your name. Resumes this project's session of that name. force: also from a holder that lives.",
    shape=Named,
    idempotent=True,
)
async def register(instance_id: Name, force: bool = False) -> ToolResult:
    async def work() -> tuple[list[str], Told]:
        reply = await current().register(instance_id, force=force)
        waiting = f". {number_of(reply['queued'], 'message waits', 'messages wait')}: call check" if reply["queued"] else ""
        text = f"{reply['message']}{waiting}"
        return [f"{text}."], Named(name=instance_id, message=text, queued=reply["queued"])

    return await answer(work, footer=False)


@tool(
    "Change your name (once an hour). The old one forwards for two hours.",
    shape=Named,
)
async def rename(new_id: Name, old_id: Own = None) -> ToolResult:
    async def work() -> tuple[list[str], Told]:
        reply = await current().request("rename", new_id=new_id, old_id=old_id)
        return [f"{reply['message']}."], Named(name=new_id, message=reply["message"])

    return await answer(work)


@tool(
    "Send a message to an agent or group; stored when this returns. With forward_id it passes that message on, "
    "content being your note. supersedes withdraws your earlier message if still unread.",
    shape=Done,
)
async def send(
    to_id: To,
    content: str = "",
    data: Data = None,
    from_id: Own = None,
    land: When = None,
    thread: str | None = None,
    supersedes: str | None = None,
    expires_s: float | None = None,
    forward_id: str | None = None,
) -> ToolResult:
    async def work() -> tuple[list[str], Told]:
        if forward_id is not None:
            fields: dict[str, Any] = {"forward_id": forward_id, "note": content or None, "land": land, "from_id": from_id}
            return done(await current().request("forward", to_id=to_id, **fields))
        options: dict[str, Any] = {
            "land": land,
            "thread": thread,
            "supersedes": supersedes,
            "ttl_s": expires_s,
            "from_id": from_id,
        }
        return done(await current().request("send", to_id=to_id, message=message_of(content, data), **options))

    return await answer(work)


@tool(
    "Send a message to every registered agent.",
    shape=Broadcasted,
)
async def broadcast(content: str, data: Data = None, from_id: Own = None, land: Land = None) -> ToolResult:
    async def work() -> tuple[list[str], Told]:
        fields: dict[str, Any] = {"message": message_of(content, data), "from_id": from_id, "land": land}
        reply = await current().request("broadcast", **fields)
        sent = Broadcasted(message=reply["message"], message_id=number_in(reply), count=reply["count"])
        return [f"{reply['message']} (id {sent['message_id']})."], sent

    return await answer(work)


@tool(
    "Answer a message by its id, in its thread. Also a question.",
    shape=Done,
)
async def reply(message_id: Id, content: str, data: Data = None, land: Land = None) -> ToolResult:
    async def work() -> tuple[list[str], Told]:
        fields: dict[str, Any] = {"to_message": message_id, "message": message_of(content, data), "land": land}
        return done(await current().request("reply", **fields))

    return await answer(work)


@tool(
    "Ask one agent and wait up to wait_s for its answer, which this returns. Unanswered, the question stays "
    "open for deadline_s and the answer comes as mail.",
)
async def ask(
    to_id: To,
    content: str,
    wait_s: Wait = 60,
    deadline_s: Annotated[float, Arg(ge=_DEADLINE.low, le=_DEADLINE.high)] = _DEADLINE.default,
    data: Data = None,
    land: Land = None,
) -> ToolResult:
    async def work() -> str:
        waits_s = current().given.wait_s(wait_s)
        fields: dict[str, Any] = {
            "message": message_of(content, data),
            "land": land,
            "wait_s": waits_s,
            "deadline_s": deadline_s,
        }
        answered = await current().request("ask", to_id=to_id, timeout_s=waits_s + 30, **fields)
        now = f"; {to_id} is {answered['asked_is']}" if "asked_is" in answered else ""
        text = f"{answered['message']}. No answer yet (question {number_in(answered)}{now}): it will come as mail."
        text += unreached(answered)
        return mail_text(answered) if answered["messages"] else one_line(text)

    return await answer_mail(work, footer=True)


@tool(
    "Send a file: its text, or path, size and SHA-256 if it is not text.",
    shape=Done,
)
async def share_file(to_id: To, filepath: str, description: str = "") -> ToolResult:
    async def work() -> tuple[list[str], Told]:
        content, data = await asyncio.to_thread(read_file, current().agent.path(filepath), description)
        return done(await current().request("send", to_id=to_id, message=message_of(content, data)))

    return await answer(work)


@tool(
    "Send the text of a shell command for the other to consider. Runs nothing.",
    shape=Done,
)
async def share_command(to_id: To, command: str, description: str = "") -> ToolResult:
    async def work() -> tuple[list[str], Told]:
        content = f"{description}\nSuggested command (text only, nobody has run it):\n{command}".lstrip()
        data = {"command": command, "executed": False}
        return done(await current().request("send", to_id=to_id, message=message_of(content, data)))

    return await answer(work)


TOOLS = (register, rename, send, broadcast, reply, ask, share_file, share_command)
