"""What tools return: small models, so that their schemas cost an agent little, and the way errors are told."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from mcp_types import CallToolResult, ContentBlock, TextContent, ToolAnnotations
from pydantic import BaseModel, Field

from bridges.mcp.sdk import current
from bridges.mcp.session import NotRegistered
from broker.errors import IpcError
from broker.logs import Log
from broker.text import visible, visible_json

_NOT_REGISTERED = "Not registered. Next: call register with the name you want (your project or role), then try again."

Name = Annotated[str, Field(description="1-32 of A-Z a-z 0-9 _ -")]
Own = Annotated[str | None, Field(description="your own name")]
Id = Annotated[str, Field(description="a message's id")]


class Done(BaseModel):
    """The broker's sentence, and what else it said."""

    message: str
    message_id: str | None = None
    details: dict[str, Any] | None = None


class Rows(BaseModel):
    """A list of anything."""

    rows: list[dict[str, Any]]
    more: bool = False


Work = Callable[[], Awaitable[tuple[str, BaseModel]]]


class Answerer:
    """Runs tools: what goes wrong becomes a result that says what to do next, and new mail is mentioned."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def __call__(self, work: Work, *, footer: bool = True) -> CallToolResult:
        try:
            text, value = await work()
        except NotRegistered:
            return failed(_NOT_REGISTERED)
        except IpcError as e:
            return failed(f"{e.text}. Next: {e.hint}" if e.hint else e.text)
        except Exception as e:  # the one broad catch of a tool call: the model gets a reference, the log the rest
            return failed(f"Internal error, reference {self._log.exception(e)}. Next: try again, or run ipc doctor.")
        content: list[ContentBlock] = [TextContent(type="text", text=text)]
        if footer:
            note = await self._footer()
            content += [TextContent(type="text", text=note)] if note else []
        structured = value.model_dump(mode="json", by_alias=True, exclude_none=True)
        return CallToolResult(content=content, structured_content=structured)

    async def _footer(self) -> str:
        """One line about mail that waits; nothing where there is none, or where it can't be had just now."""
        try:
            count = await current().count()
        except IpcError as e:
            self._log.info("footer_left_out", code=e.code)
            return ""
        if not count or not count["unread"]:
            return ""
        number, urgent = count["unread"], count["interrupt"]
        senders = ", ".join(list(count["from"])[:3])
        return f"[{number} new message{'s' if number != 1 else ''} from {senders}{', urgent' if urgent else ''}: call check]"


def failed(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=visible(text))], is_error=True)


def hints(*, read_only: bool = False, idempotent: bool = False) -> ToolAnnotations:
    """What is left out means no."""
    return ToolAnnotations(
        read_only_hint=read_only or None,
        destructive_hint=False,
        idempotent_hint=idempotent or read_only or None,
        open_world_hint=False,
    )


def message_of(content: str, data: Any = None) -> dict[str, Any]:
    return {"content": content} if data is None else {"content": content, "data": data}


def done(reply: dict[str, Any]) -> tuple[str, Done]:
    """A broker's reply as a tool's result."""
    known = ("id", "status", "message", "message_id", "session_token")
    shown = {k: visible_json(v) for k, v in reply.items() if k not in known}
    text = f"{reply['message']}."
    if reply.get("did_you_mean"):
        text += f" Did you mean {reply['did_you_mean']}? Nothing was sent there."
    return text, Done(message=reply["message"], message_id=reply.get("message_id"), details=shown or None)
