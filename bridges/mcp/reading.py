"""Tools that read: mail, its history, who there is."""

from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from bridges.mcp.render import Inbox, archive_text, to_inbox, to_text
from bridges.mcp.results import Answerer, Own, Rows, hints
from bridges.mcp.sdk import current
from broker.text import visible_json


class Instances(BaseModel):
    """Who there is."""

    instances: list[dict[str, Any]]
    groups: list[dict[str, Any]]


_AT_ONCE = 50
_BYTES = 64 * 1024


def add_reading(server: MCPServer[None], answer: Answerer) -> None:
    @server.tool(
        annotations=hints(),
        description="Read your new mail, waiting up to wait_s seconds for some. count_only: how much waits, delivering none.",
    )
    async def check(
        instance_id: Own = None, wait_s: Annotated[float, Field(ge=0, le=300)] = 0, count_only: bool = False
    ) -> Annotated[CallToolResult, Inbox]:
        async def work() -> tuple[str, BaseModel]:
            if count_only:
                found = await current().request("count", instance_id=instance_id)
                senders = ", ".join(f"{name} {number}" for name, number in found["from"].items())
                urgent = f", {found['interrupt']} urgent" if found["interrupt"] else ""
                text = f"{found['unread']} unread{urgent}{f': {senders}' if senders else ''}."
                return text, Inbox(messages=[], more=found["unread"])
            limits = {"wait_s": wait_s, "limit": _AT_ONCE, "max_bytes": _BYTES, "timeout_s": wait_s + 30}
            reply = await current().request("check", instance_id=instance_id, **limits)
            return to_text(reply), to_inbox(reply)

        return await answer(work, footer=False)

    @server.tool(
        annotations=hints(read_only=True),
        description="Mail you got and sent, newest first, by peer, thread or words. receipts_of says what became of messages "
        "you sent; questions lists those asked by or of you.",
    )
    async def history(
        peer: str | None = None,
        thread: str | None = None,
        words: str | None = None,
        before: str | None = None,
        limit: Annotated[int, Field(ge=1, le=100)] = 20,
        receipts_of: list[str] | None = None,
        questions: bool = False,
    ) -> Annotated[CallToolResult, Rows]:
        async def work() -> tuple[str, BaseModel]:
            if receipts_of:
                return _table((await current().request("receipts", ids=receipts_of))["receipts"])
            if questions:
                return _table((await current().request("asks"))["asks"])
            fields: dict[str, Any] = {"before": before, "limit": limit}
            if words is not None:
                found = await current().request("search", query=words, **fields)
            else:
                found = await current().request("history", peer=peer, thread=thread, **fields)
            return archive_text(found), Rows(rows=visible_json(found["messages"]), more=found["more"])

        return await answer(work)

    @server.tool(annotations=hints(read_only=True), description="Who is registered and what each is doing; the groups.")
    async def list_instances() -> Annotated[CallToolResult, Instances]:
        async def work() -> tuple[str, BaseModel]:
            rows = (await current().request("list"))["instances"]
            groups = (await current().request("groups"))["groups"]
            lines = [f"{r['id']}  {r['presence']}  last seen {r['last_seen']}  {r.get('note', '')}".rstrip() for r in rows]
            lines += [f"group {g['name']}: {', '.join(g['members'])}" for g in groups]
            found = Instances(instances=visible_json(rows), groups=visible_json(groups))
            return str(visible_json("\n".join(lines))), found

        return await answer(work)


def _table(rows: list[dict[str, Any]]) -> tuple[str, Rows]:
    shown = visible_json(rows)
    lines = ["  ".join(f"{k}={v}" for k, v in row.items()) for row in shown]
    return "\n".join(lines) or "None.", Rows(rows=shown)
