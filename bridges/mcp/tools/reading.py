"""Tools that read: mail, its history, who there is."""

import json
from bisect import bisect_right
from functools import partial
from typing import Annotated, Any, NotRequired

from bridges.fence import BUDGET_CHARS, NOTES_LABEL, quoted
from bridges.mcp.render import archive_text, dead_text, fitting, mail_text, one_text, questions_text, receipts_text, some
from bridges.mcp.results import Own, Told, Wait, answer, answer_mail
from bridges.mcp.session import current
from bridges.mcp.tool_table import Arg, ToolResult, tool
from broker.protocol.spans import span


class Instances(Told):
    """Who there is."""

    instances: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    more: NotRequired[int]


_AT_ONCE = 50
_BYTES = BUDGET_CHARS


@tool(
    "Read your new mail, waiting up to wait_s seconds for some. count_only: how much waits, delivering none.",
)
async def check(instance_id: Own = None, wait_s: Wait = 0, count_only: bool = False) -> ToolResult:
    async def work() -> str:
        if count_only:
            found = await current().request("count", instance_id=instance_id)
            senders = some([f"{name} {number}" for name, number in found["from"].items()])
            urgent = f", {found['interrupt']} urgent" if found["interrupt"] else ""
            return f"{found['unread']} unread{urgent}{f': {senders}' if senders else ''}."
        return mail_text(await _new_mail(instance_id, wait_s))

    return await answer_mail(work)


@tool(
    "Mail you got and sent, newest first, by peer, thread or words; or one message by id, from a character on. "
    "receipts_of says what became of messages you sent; questions lists those asked by or of you; dead: what ended unread.",
    read_only=True,
)
async def history(
    peer: str | None = None,
    thread: str | None = None,
    words: str | None = None,
    before: str | None = None,
    limit: Annotated[int, Arg(ge=1, le=100)] = 20,
    id: str | None = None,
    offset: Annotated[int, Arg(ge=0)] = 0,
    receipts_of: list[str] | None = None,
    questions: bool = False,
    dead: bool = False,
) -> ToolResult:
    async def work() -> str:
        if dead:
            return dead_text(await current().request("dead", dead_id=id, before=before, limit=limit))
        if id is not None:
            return one_text(await current().request("history", history_id=id), offset)
        if receipts_of:
            return receipts_text((await current().request("receipts", ids=receipts_of))["receipts"])
        if questions:
            return questions_text((await current().request("asks"))["asks"], before)
        fields: dict[str, Any] = {"before": before, "limit": limit}
        if words is not None:
            return archive_text(await current().request("search", query=words, **fields))
        return archive_text(await current().request("history", peer=peer, thread=thread, **fields))

    return await answer_mail(work, footer=True)


async def _new_mail(instance_id: str | None, wait_s: float) -> dict[str, Any]:
    """What waits, else what comes within ``wait_s``. Mail that lands as a digest ends no wait; it comes with what does."""
    ask = partial(current().request, "check", instance_id=instance_id, limit=_AT_ONCE, max_bytes=_BYTES)
    found = await ask()
    if found["messages"] or not wait_s:
        return found
    wait_s = current().given.wait_s(wait_s)
    came = await ask(wait_s=wait_s, land="turn", timeout_s=wait_s + 30)
    if not came.get("more"):
        return came
    found = await ask()
    return {**found, "messages": sorted([*came["messages"], *found["messages"]], key=lambda m: int(m["id"]))}


@tool(
    "Who is registered and what each is doing; then the groups. Long lists come in pages: after=the last name; "
    "group: its members only; all: other sites, too.",
    shape=Instances,
    read_only=True,
)
async def list_instances(after: str | None = None, group: str | None = None, all: bool = False) -> ToolResult:
    async def work() -> tuple[list[str], Told]:
        rows = (await current().request("list", all=all or group is not None or None))["instances"]
        rows = [_row(row) for row in rows if not row.get("unclaimed")]
        groups = (await current().request("groups"))["groups"]
        return _listed(rows, groups, after, group)

    return await answer(work)


def _listed(
    rows: list[dict[str, Any]], groups: list[dict[str, Any]], after: str | None, group: str | None
) -> tuple[list[str], Instances]:
    """One page: instances, then groups, each in the order of names."""
    if group is not None:
        known = {r["id"]: r for r in rows}
        members = [m for g in groups if g["name"] == group for m in g["members"]]
        rows, groups = [known.get(m) or _unseen(m) for m in members], []
    rows, groups = sorted(rows, key=lambda r: str(r["id"])), sorted(groups, key=lambda g: str(g["name"]))
    count = len(rows)
    if after is not None:
        if any(g["name"] == after for g in groups):
            rows, groups = [], [g for g in groups if g["name"] > after]
        else:
            rows = rows[bisect_right([r["id"] for r in rows], after) :]
    groups = [{**g, "members": g["members"][:_MEMBERS], "count": len(g["members"])} for g in groups]
    shown = fitting([json.dumps(row) for row in [*rows, *groups]])
    more = len(rows) + len(groups) - shown
    rows, groups = rows[:shown], groups[: max(0, shown - len(rows))]
    label = NOTES_LABEL if any(r.get("note") for r in rows) else f"{count} registered."
    if more:
        last = groups[-1]["name"] if groups else rows[-1]["id"]
        label += f' {more} more: list_instances(after="{last}").'
    lines = [label, *(_instance(r) for r in rows)]
    lines += [f"group {g['name']}: {some(g['members'], _MEMBERS)}{_rest(g)}" for g in groups]
    return lines, Instances(message=label, instances=rows, groups=groups, more=more)


_MEMBERS = 10
"""How many members stand beside a group's name."""


def _rest(group: dict[str, Any]) -> str:
    left = group["count"] - len(group["members"])
    return f' and {left} more: list_instances(group="{group["name"]}")' if left else ""


def _unseen(name: str) -> dict[str, Any]:
    """A row of a member of whom nothing is known."""
    return {"id": name, "presence": "at another site" if "@" in name else "not registered"}


_SHOWN = ("id", "presence", "note", "stuck", "site", "age_s", "silent_s")


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """What a model is told of an instance: also in which program it runs, and where."""
    body = row.get("body") or {}
    program = "person" if body.get("person") else body.get("host") or body.get("kind")
    told = {"program": program, "where": body.get("where")}
    return {k: row[k] for k in _SHOWN if row.get(k) is not None} | {k: v for k, v in told.items() if v}


def _instance(row: dict[str, Any]) -> str:
    note = f"  {quoted(row['note'])}" if row.get("note") else ""
    stuck = f"  stuck: {quoted(row['stuck']['evidence'])}" if row.get("stuck") else ""
    runs = "".join(f"  {word} {row[key]}" for word, key in (("in", "program"), ("at", "where")) if key in row)
    times = [f"{word} {span(row[key])} ago" for word, key in (("told", "age_s"), ("seen", "silent_s")) if key in row]
    seen = times[0] if times else "not seen yet"
    return f"{row['id']}{runs}  {row['presence']}  {seen}{stuck}{note}"


TOOLS = (check, history, list_instances)
