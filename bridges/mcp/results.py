"""What tools return, and how they tell errors.

Mail is text alone (``mail``). Other results are lines and a small structure of the same content, since hosts differ in which of
the two their model reads. Each line, and each text in the structure, is one visible line, whoever wrote it. Word of new mail
stands in both.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, NotRequired, TypedDict

from bridges.fence import one_line, one_line_json
from bridges.mcp.session import AgentNotRegistered, current
from bridges.mcp.tool_table import Arg, ToolResult
from bridges.plurals import number_of
from bridges.waking import loud
from broker.protocol.errors import NAME_LOST, IpcError

_NOT_REGISTERED = "Not registered. Next: call register with the name you want (your project or role), then try again."

Name = Annotated[str, Arg(description="1-32 of A-Z a-z 0-9 _ -")]
To = Annotated[str, Arg(description="name, or name@site")]
Own = Annotated[str | None, Arg(description="your own name")]
Data = Annotated[Any, Arg(whole={"type": "object", "description": "for programs"})]
"""Any JSON value. Hosts refuse a schema without a type, and some refuse a list of types."""
Id = Annotated[str, Arg(description="a message's id")]
Wait = Annotated[float, Arg(ge=0, le=300)]
"""Seconds that a tool may wait. The broker would allow more, but hosts give up on a call that takes longer."""


class Told(TypedDict):
    """A sentence, and word of mail that waits."""

    message: str
    new_mail: NotRequired[str]


class Done(Told):
    """The broker's sentence, and what else it said."""

    message_id: NotRequired[str]
    details: NotRequired[dict[str, Any]]


class Rows(Told):
    """A list of anything."""

    rows: list[dict[str, Any]]
    more: NotRequired[int]


async def answer(work: Callable[[], Awaitable[tuple[list[str], Told]]], *, footer: bool = True) -> ToolResult:
    """A result as lines and as a structure. New mail is mentioned."""

    async def run() -> ToolResult:
        lines, value = await work()
        note = await _footer() if footer else ""
        if note:
            value["new_mail"] = note
        return ToolResult(_texts("\n".join(map(one_line, lines)), note), one_line_json(value))

    return await _told(run)


async def answer_mail(work: Callable[[], Awaitable[str]], *, footer: bool = False) -> ToolResult:
    """A result that may hold mail. ``work`` gives text that bridges.fence has made."""

    async def run() -> ToolResult:
        text = await work()
        return ToolResult(_texts(text, await _footer() if footer else ""))

    return await _told(run)


async def _told(run: Callable[[], Awaitable[ToolResult]]) -> ToolResult:
    """An error becomes a result that says what to do next."""
    try:
        return await run()
    except AgentNotRegistered:
        return failed(_NOT_REGISTERED)
    except IpcError as e:
        if e.code in NAME_LOST:
            return failed(e.hint)
        return failed(f"{e.text}. Next: {e.hint}" if e.hint else e.text)
    except Exception as e:  # the one broad catch of a tool call: the model gets a reference, the log the rest
        return failed(f"Internal error, reference {current().log.exception(e)}. Next: try again, or run ipc doctor.")


async def _footer() -> str:
    """One line about mail that waits; empty if none waits, or if the broker can't tell now."""
    try:
        count = await current().count()
    except IpcError as e:
        current().log.info("footer_left_out", code=e.code)
        return ""
    if not count or not loud(count):
        return ""
    number, urgent = count["unread"], count["interrupt"]
    senders = one_line(", ".join(list(count["from"])[:3]))
    return f"[{number_of(number, 'new message')} from {senders}{', urgent' if urgent else ''}: call check]"


def _texts(text: str, note: str) -> list[str]:
    return [part for part in (text, note) if part]


def failed(text: str) -> ToolResult:
    return ToolResult([one_line(text)], is_error=True)


def message_of(content: str, data: Any = None) -> dict[str, Any]:
    """The message to send. Raises IpcError if there is nothing to send."""
    if not content and data is None:
        raise IpcError("bad_request", detail="There is nothing to send: give the text as content")
    return {"content": content} if data is None else {"content": content, "data": data}


def done(reply: dict[str, Any]) -> tuple[list[str], Done]:
    """A broker's reply as a tool's result."""
    known = ("id", "status", "message", "message_id", "number", "session_token", "reach", "unreached")
    shown = {k: v for k, v in reply.items() if k not in known}
    number = number_in(reply)
    text = f"{reply['message']}{f' (id {number})' if number else ''}."
    if reply.get("did_you_mean"):
        text += f" Did you mean {reply['did_you_mean']}? Nothing was sent there."
    text += unreached(reply)
    value = Done(message=reply["message"])
    if number:
        value["message_id"] = number
    if shown:
        value["details"] = shown
    return [text], value


def number_in(reply: dict[str, Any]) -> str:
    """The id by which mail shows the message of a reply, and by which tools take it; empty if it is of none."""
    return str(reply.get("number") or reply.get("message_id") or "")


def unreached(reply: dict[str, Any]) -> str:
    """That the mail lies until its reader looks by itself, or that it wakes nobody for now, if it does."""
    lies = [reply["reach"]] if reply.get("unreached") else []
    if "note" in reply and not reply.get("duplicate"):
        lies.append(reply["note"])
    return "".join(f" {one_line(line)}." for line in lies)
