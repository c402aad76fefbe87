"""Tools that read: mail, its history, who there is."""

from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult
from pydantic import Field

from bridges.fence import NOTES_LABEL, quoted
from bridges.mcp.render import archive_text, questions_text, receipts_text, to_text
from bridges.mcp.results import Answerer, Own, Told, hints
from bridges.mcp.sdk import current


class Instances(Told):
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
    ) -> CallToolResult:
        async def work() -> str:
            if count_only:
                found = await current().request("count", instance_id=instance_id)
                senders = ", ".join(f"{name} {number}" for name, number in found["from"].items())
                urgent = f", {found['interrupt']} urgent" if found["interrupt"] else ""
                return f"{found['unread']} unread{urgent}{f': {senders}' if senders else ''}."
            limits = {"wait_s": wait_s, "limit": _AT_ONCE, "max_bytes": _BYTES, "timeout_s": wait_s + 30}
            return to_text(await current().request("check", instance_id=instance_id, **limits))

        return await answer.mail(work)

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
    ) -> CallToolResult:
        async def work() -> str:
            if receipts_of:
                return receipts_text((await current().request("receipts", ids=receipts_of))["receipts"])
            if questions:
                return questions_text((await current().request("asks"))["asks"])
            fields: dict[str, Any] = {"before": before, "limit": limit}
            if words is not None:
                return archive_text(await current().request("search", query=words, **fields))
            return archive_text(await current().request("history", peer=peer, thread=thread, **fields))

        return await answer.mail(work, footer=True)

    @server.tool(annotations=hints(read_only=True), description="Who is registered and what each is doing; the groups.")
    async def list_instances() -> Annotated[CallToolResult, Instances]:
        async def work() -> tuple[list[str], Told]:
            rows = (await current().request("list"))["instances"]
            groups = (await current().request("groups"))["groups"]
            label = NOTES_LABEL if any(r.get("note") for r in rows) else f"{len(rows)} registered."
            lines = [label, *(_instance(r) for r in rows)]
            lines += [f"group {g['name']}: {', '.join(g['members'])}" for g in groups]
            return lines, Instances(message=label, instances=rows, groups=groups)

        return await answer(work)


def _instance(row: dict[str, Any]) -> str:
    note = f"  {quoted(row['note'])}" if row.get("note") else ""
    return f"{row['id']}  {row['presence']}  last seen {row['last_seen']}{note}"
